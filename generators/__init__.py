"""Generators: networks that make inputs from latent vectors. They know tensors, not privacy.

Whether a generator may be released is decided by what trained it, never in here.
"""

from typing import TYPE_CHECKING

__distribution__ = "privkd"

_LAZY = {"SmallGenerator": "generators.small", "coverage_loss": "generators.coverage"}
__all__ = ["SmallGenerator", "coverage_loss"]

if TYPE_CHECKING:
    from generators.coverage import coverage_loss as coverage_loss
    from generators.small import SmallGenerator as SmallGenerator


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; public names: {', '.join(__all__)}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_LAZY[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
