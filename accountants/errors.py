"""The errors of privkd that a caller can act on; bad arguments stay `ValueError` and `TypeError`."""


class PrivkdError(Exception):
    """Root of every error that privkd raises on purpose."""


class BudgetExceeded(PrivkdError):
    """A release would cost more than the ledger allows; nothing was charged."""


class AdjacencyError(PrivkdError):
    """An event is not stated for the adjacency that was asked for."""


class UnsupportedEvent(PrivkdError):
    """No accountant here can bound the named event; it is never ignored."""


class LedgerError(PrivkdError):
    """A ledger file is damaged or edited (the message names the entry), or a ledger is changed after a fork."""


class CalibrationError(PrivkdError):
    """No parameter value in the searched range meets the budget."""


class ResolutionError(PrivkdError):
    """Rounding would spoil the result; no number is given rather than a doubtful one."""
