"""The one training engine: tasks say what to learn, the trainer runs the optimiser loop."""

from typing import TYPE_CHECKING

from accountants import lazy_door

if TYPE_CHECKING:
    from privkd.trainer.batch import Batch as Batch
    from privkd.trainer.batches.class_balance import balanced as balanced
    from privkd.trainer.batches.episode_batches import episodes as episodes
    from privkd.trainer.batches.identity_batches import identities as identities
    from privkd.trainer.beside import Beside as Beside
    from privkd.trainer.best import Best as Best
    from privkd.trainer.checkpoints.checkpoints import Checkpoints as Checkpoints
    from privkd.trainer.context import Context as Context
    from privkd.trainer.history import History as History
    from privkd.trainer.memory import RowMemory as RowMemory
    from privkd.trainer.schedules import Schedule as Schedule
    from privkd.trainer.schedules import cosine as cosine
    from privkd.trainer.schedules import linear as linear
    from privkd.trainer.schedules import per_epoch as per_epoch
    from privkd.trainer.schedules import steps_down as steps_down
    from privkd.trainer.seeding import seeded as seeded
    from privkd.trainer.session import Session as Session
    from privkd.trainer.task import Stage as Stage
    from privkd.trainer.task import Task as Task
    from privkd.trainer.task import Update as Update
    from privkd.trainer.trainer import Trainer as Trainer

__getattr__, __dir__, __all__ = lazy_door(
    __name__,
    {
        "privkd.trainer.checkpoints.checkpoints": "Checkpoints",
        "privkd.trainer.best": "Best",
        "privkd.trainer.history": "History",
        "privkd.trainer.memory": "RowMemory",
        "privkd.trainer.schedules": "Schedule cosine linear per_epoch steps_down",
        "privkd.trainer.seeding": "seeded",
        "privkd.trainer.session": "Session",
        "privkd.trainer.batch": "Batch",
        "privkd.trainer.batches.class_balance": "balanced",
        "privkd.trainer.batches.episode_batches": "episodes",
        "privkd.trainer.batches.identity_batches": "identities",
        "privkd.trainer.beside": "Beside",
        "privkd.trainer.context": "Context",
        "privkd.trainer.task": "Stage Task Update",
        "privkd.trainer.trainer": "Trainer",
    },
)
