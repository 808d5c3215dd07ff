"""privkd: turn a model trained on private data into a student with a stated guarantee.

The main job is `privkd.transcribe(teacher, epsilon=...)`. Importing this package loads neither torch nor
scikit-learn; names are resolved when they are first used.
"""

from typing import TYPE_CHECKING

from accountants import lazy_door
from privkd.version import __version__ as __version__

if TYPE_CHECKING:
    from accountants import Ledger as Ledger
    from privkd.certificates.certificate import Certificate as Certificate
    from privkd.errors import BudgetExceeded as BudgetExceeded
    from privkd.errors import GuaranteeError as GuaranteeError
    from privkd.errors import PrivacyScopeWarning as PrivacyScopeWarning
    from privkd.errors import PrivkdError as PrivkdError
    from privkd.private_training.clipping.replacements import fix as fix
    from privkd.teachers import CertifiedModel as CertifiedModel
    from privkd.teachers import InputSpec as InputSpec
    from privkd.teachers import TeacherEnsemble as TeacherEnsemble
    from privkd.transcription import Transcription as Transcription
    from privkd.transcription import load as load
    from privkd.transcription import transcribe as transcribe

__getattr__, __dir__, __all__ = lazy_door(
    __name__,
    {
        "accountants": "Ledger",
        "privkd.certificates.certificate": "Certificate",
        "privkd.errors": "BudgetExceeded GuaranteeError PrivacyScopeWarning PrivkdError",
        "privkd.private_training.clipping.replacements": "fix",
        "privkd.teachers": "CertifiedModel InputSpec TeacherEnsemble",
        "privkd.transcription": "Transcription load transcribe",
    },
)
