"""`transcribe`: from a teacher that saw private data to a student with a certificate and a ledger."""

from typing import TYPE_CHECKING

_LAZY = {
    "Transcription": "privkd.transcription.result",
    "load": "privkd.transcription.result",
    "transcribe": "privkd.transcription.transcriber",
}
__all__ = ["Transcription", "load", "transcribe"]

if TYPE_CHECKING:
    from privkd.transcription.result import Transcription as Transcription
    from privkd.transcription.result import load as load
    from privkd.transcription.transcriber import transcribe as transcribe


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; public names: {', '.join(__all__)}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_LAZY[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
