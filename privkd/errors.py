"""The errors that privkd raises: one class per decision that a caller can take.

Bad input is a plain `ValueError` or `TypeError`. Everything below `PrivkdError` is about guarantees,
budgets, files and models.
"""

from accountants.errors import AdjacencyError as AdjacencyError
from accountants.errors import BudgetExceeded as BudgetExceeded
from accountants.errors import CalibrationError as CalibrationError
from accountants.errors import LedgerError as LedgerError
from accountants.errors import PrivkdError as PrivkdError
from accountants.errors import ResolutionError as ResolutionError
from accountants.errors import UnsupportedEvent as UnsupportedEvent


class GuaranteeError(PrivkdError):
    """The guarantee that was asked for cannot be given for this teacher; the message lists the ways out."""


class MixedRecordsError(GuaranteeError):
    """A model mixes the records of a batch, so that no clipping bounds the influence of one of them."""


class UnsupportedModule(PrivkdError):
    """A model cannot be handled in the way that was asked for; the message names the modules and another way."""


class CertificateError(PrivkdError):
    """A certificate does not follow from its ledger."""


class CheckpointError(PrivkdError):
    """A saved student or teacher is incomplete, of another class, or not safe to read."""


class TeacherError(PrivkdError):
    """A teacher's output cannot be used (wrong rank, NaN, probabilities instead of logits, ...)."""


class SupportLeakError(PrivkdError):
    """A candidate set was derived from the private answer, so that the set itself would reveal it."""


class PrivateValueError(PrivkdError):
    """A private value was used outside a mechanism."""


class NonFiniteLoss(PrivkdError):
    """Training produced a NaN or infinite loss or gradient; the message names the term."""


class OutOfMemory(PrivkdError):
    """A training step did not fit into memory; the message says what to make smaller."""


class TaskError(PrivkdError):
    """A task and its data do not fit each other, or a task broke its contract; the message says where."""


class UnknownColumn(TaskError, KeyError):
    """A task asked for a column that its batch does not have; the message names those that there are."""

    def __str__(self) -> str:
        return Exception.__str__(self)  # a KeyError would show its message in quotes


class RecipeError(PrivkdError):
    """A recipe cannot be loaded, or does not keep its contract; the message names who offers it."""


class TrainingStopped(PrivkdError):
    """The process was asked to end during a run; the message says whether the run can go on later."""


class InputRangeWarning(UserWarning):
    """The range of inputs was guessed, and generated queries may miss what the teacher knows."""


class PrivacyScopeWarning(UserWarning):
    """The result is correct, but its guarantee protects less than a reader may expect."""


class WeakSignalWarning(UserWarning):
    """The guarantee holds, but the noise that it needs leaves little to learn from."""
