"""`transcribe`: from a teacher that saw private data to a student with a certificate and a ledger."""

from typing import TYPE_CHECKING

from accountants import lazy_door

if TYPE_CHECKING:
    from privkd.transcription.result import Transcription as Transcription
    from privkd.transcription.result import load as load
    from privkd.transcription.transcriber import transcribe as transcribe

__getattr__, __dir__, __all__ = lazy_door(
    __name__, {"privkd.transcription.result": "Transcription load", "privkd.transcription.transcriber": "transcribe"}
)
