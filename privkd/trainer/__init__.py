"""The one training engine: tasks say what to learn, the trainer runs the optimiser loop."""

from typing import TYPE_CHECKING

_LAZY = {
    "Batch": "privkd.trainer.task",
    "Checkpoints": "privkd.trainer.checkpoints",
    "Context": "privkd.trainer.task",
    "History": "privkd.trainer.history",
    "Stage": "privkd.trainer.task",
    "Task": "privkd.trainer.task",
    "Trainer": "privkd.trainer.trainer",
    "Update": "privkd.trainer.task",
    "seeded": "privkd.trainer.seeding",
}
__all__ = ["Batch", "Checkpoints", "Context", "History", "Stage", "Task", "Trainer", "Update", "seeded"]

if TYPE_CHECKING:
    from privkd.trainer.checkpoints import Checkpoints as Checkpoints
    from privkd.trainer.history import History as History
    from privkd.trainer.seeding import seeded as seeded
    from privkd.trainer.task import Batch as Batch
    from privkd.trainer.task import Context as Context
    from privkd.trainer.task import Stage as Stage
    from privkd.trainer.task import Task as Task
    from privkd.trainer.task import Update as Update
    from privkd.trainer.trainer import Trainer as Trainer


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; public names: {', '.join(__all__)}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_LAZY[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
