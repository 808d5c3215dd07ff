"""The one training engine: tasks say what to learn, the trainer runs the optimiser loop."""

from typing import TYPE_CHECKING

_LAZY = {
    "Batch": "privkd.trainer.task",
    "Task": "privkd.trainer.task",
    "Trainer": "privkd.trainer.engine",
    "seeded": "privkd.trainer.seeding",
}
__all__ = ["Batch", "Task", "Trainer", "seeded"]

if TYPE_CHECKING:
    from privkd.trainer.engine import Trainer as Trainer
    from privkd.trainer.seeding import seeded as seeded
    from privkd.trainer.task import Batch as Batch
    from privkd.trainer.task import Task as Task


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; public names: {', '.join(__all__)}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_LAZY[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
