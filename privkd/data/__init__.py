"""What users have, turned into one simple thing: `Records`.

Knows files, arrays and shapes; knows nothing of privacy, training or models. Importing it loads no torch.

Source files are named for things, so that no module hides the function of the same name.
"""

from typing import TYPE_CHECKING

_LAZY = {
    "Records": "privkd.data.records",
    "Split": "privkd.data.bundled",
    "digits": "privkd.data.bundled",
    "load": "privkd.data.loading",
}
__all__ = ["Records", "Split", "digits", "load"]

if TYPE_CHECKING:
    from privkd.data.bundled import Split as Split
    from privkd.data.bundled import digits as digits
    from privkd.data.loading import load as load
    from privkd.data.records import Records as Records


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_LAZY[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
