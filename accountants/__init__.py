"""Exact and certified privacy accounting: events, epsilon, calibration, a hash-chained ledger and its audit.

Needs numpy and scipy only; importing the package imports neither until a name that needs them is used.
"""

from typing import TYPE_CHECKING

__distribution__ = "privkd"

_LAZY = {
    "Adjacency": "accountants.adjacency",
    "AdjacencyError": "accountants.errors",
    "ApproxDP": "accountants.events",
    "AuditReport": "accountants.auditing",
    "Bound": "accountants.bound",
    "BudgetExceeded": "accountants.errors",
    "Calibration": "accountants.calibration",
    "CalibrationError": "accountants.errors",
    "Composed": "accountants.events",
    "Event": "accountants.events",
    "GNMax": "accountants.events",
    "Gaussian": "accountants.events",
    "Ledger": "accountants.ledger.ledger",
    "LedgerError": "accountants.errors",
    "PoissonSampled": "accountants.events",
    "PriorResponse": "accountants.events",
    "PrivkdError": "accountants.errors",
    "PureDP": "accountants.events",
    "RandomizedResponse": "accountants.events",
    "Repeat": "accountants.events",
    "ResolutionError": "accountants.errors",
    "UnsupportedEvent": "accountants.errors",
    "audit": "accountants.auditing",
    "calibrate": "accountants.calibration",
    "delta": "accountants.composition",
    "epsilon": "accountants.composition",
    "from_dict": "accountants.events",
    "gaussian_mu": "accountants.exact.gdp",
    "group_privacy": "accountants.grouping",
    "parse": "accountants.expression",
    "renyi": "accountants.rdp.curves",
    "teacher_ceiling": "accountants.ceiling",
}
__all__ = [
    "Adjacency",
    "AdjacencyError",
    "ApproxDP",
    "AuditReport",
    "Bound",
    "BudgetExceeded",
    "Calibration",
    "CalibrationError",
    "Composed",
    "Event",
    "GNMax",
    "Gaussian",
    "Ledger",
    "LedgerError",
    "PoissonSampled",
    "PriorResponse",
    "PrivkdError",
    "PureDP",
    "RandomizedResponse",
    "Repeat",
    "ResolutionError",
    "UnsupportedEvent",
    "audit",
    "calibrate",
    "delta",
    "epsilon",
    "from_dict",
    "gaussian_mu",
    "group_privacy",
    "parse",
    "renyi",
    "teacher_ceiling",
]

if TYPE_CHECKING:
    from accountants.adjacency import Adjacency as Adjacency
    from accountants.auditing import AuditReport as AuditReport
    from accountants.auditing import audit as audit
    from accountants.bound import Bound as Bound
    from accountants.calibration import Calibration as Calibration
    from accountants.calibration import calibrate as calibrate
    from accountants.ceiling import teacher_ceiling as teacher_ceiling
    from accountants.composition import delta as delta
    from accountants.composition import epsilon as epsilon
    from accountants.errors import AdjacencyError as AdjacencyError
    from accountants.errors import BudgetExceeded as BudgetExceeded
    from accountants.errors import CalibrationError as CalibrationError
    from accountants.errors import LedgerError as LedgerError
    from accountants.errors import PrivkdError as PrivkdError
    from accountants.errors import ResolutionError as ResolutionError
    from accountants.errors import UnsupportedEvent as UnsupportedEvent
    from accountants.events import ApproxDP as ApproxDP
    from accountants.events import Composed as Composed
    from accountants.events import Event as Event
    from accountants.events import Gaussian as Gaussian
    from accountants.events import GNMax as GNMax
    from accountants.events import PoissonSampled as PoissonSampled
    from accountants.events import PriorResponse as PriorResponse
    from accountants.events import PureDP as PureDP
    from accountants.events import RandomizedResponse as RandomizedResponse
    from accountants.events import Repeat as Repeat
    from accountants.events import from_dict as from_dict
    from accountants.exact.gdp import gaussian_mu as gaussian_mu
    from accountants.expression import parse as parse
    from accountants.grouping import group_privacy as group_privacy
    from accountants.ledger.ledger import Ledger as Ledger
    from accountants.rdp.curves import renyi as renyi


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_LAZY[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
