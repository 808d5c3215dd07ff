"""Public, data-independent features: what can be computed from one record alone costs no privacy.

Knows images and filters; knows nothing of privacy, training or models. Importing it loads no torch.
"""

from typing import TYPE_CHECKING

_LAZY = {"Scattering": "privkd.features.scattering"}
__all__ = ["Scattering"]

if TYPE_CHECKING:
    from privkd.features.scattering import Scattering as Scattering


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; public names: {', '.join(__all__)}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_LAZY[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
