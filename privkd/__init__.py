"""privkd: turn a model trained on private data into a student with a stated guarantee.

The main job is `privkd.transcribe(teacher, epsilon=...)`. Importing this package loads neither torch nor
scikit-learn; names are resolved when they are first used.
"""

from typing import TYPE_CHECKING

from privkd.version import __version__ as __version__

_LAZY = {
    "BudgetExceeded": "privkd.errors",
    "Certificate": "privkd.certificate",
    "CertifiedModel": "privkd.teachers",
    "GuaranteeError": "privkd.errors",
    "InputSpec": "privkd.teachers",
    "Ledger": "accountants",
    "PrivacyScopeWarning": "privkd.errors",
    "PrivkdError": "privkd.errors",
    "TeacherEnsemble": "privkd.teachers",
    "Transcription": "privkd.transcription",
    "fix": "privkd.mechanisms.clipping.fixing",
    "load": "privkd.transcription",
    "transcribe": "privkd.transcription",
}
__all__ = [
    "BudgetExceeded",
    "Certificate",
    "CertifiedModel",
    "GuaranteeError",
    "InputSpec",
    "Ledger",
    "PrivacyScopeWarning",
    "PrivkdError",
    "TeacherEnsemble",
    "Transcription",
    "fix",
    "load",
    "transcribe",
]

if TYPE_CHECKING:  # what checkers and editors read
    from accountants import Ledger as Ledger
    from privkd.certificate import Certificate as Certificate
    from privkd.errors import BudgetExceeded as BudgetExceeded
    from privkd.errors import GuaranteeError as GuaranteeError
    from privkd.errors import PrivacyScopeWarning as PrivacyScopeWarning
    from privkd.errors import PrivkdError as PrivkdError
    from privkd.mechanisms.clipping.fixing import fix as fix
    from privkd.teachers import CertifiedModel as CertifiedModel
    from privkd.teachers import InputSpec as InputSpec
    from privkd.teachers import TeacherEnsemble as TeacherEnsemble
    from privkd.transcription import Transcription as Transcription
    from privkd.transcription import load as load
    from privkd.transcription import transcribe as transcribe


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; public names: {', '.join(__all__)}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_LAZY[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
