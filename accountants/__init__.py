"""Exact and certified privacy accounting: events, epsilon, calibration, a hash-chained ledger and its audit.

Needs numpy and scipy only; importing the package imports neither until a name that needs them is used.
"""

from typing import TYPE_CHECKING

__distribution__ = "privkd"

_LAZY = {
    "Adjacency": "accountants.adjacency",
    "AdjacencyError": "accountants.errors",
    "ApproxDP": "accountants.events",
    "AuditReport": "accountants.auditing.audit",
    "Bound": "accountants.bound",
    "BudgetExceeded": "accountants.errors",
    "Calibration": "accountants.guarantees.calibration",
    "CalibrationError": "accountants.errors",
    "Composed": "accountants.events",
    "ConfidentGNMax": "accountants.events",
    "DiscreteGaussian": "accountants.events",
    "DiscreteLaplace": "accountants.events",
    "Event": "accountants.events",
    "Exponential": "accountants.events",
    "Filter": "accountants.budgets.filter",
    "FixedSizeSampled": "accountants.events",
    "GDP": "accountants.events",
    "GNMax": "accountants.events",
    "Gaussian": "accountants.events",
    "LNMax": "accountants.events",
    "Laplace": "accountants.events",
    "Ledger": "accountants.ledger.ledger",
    "LedgerError": "accountants.errors",
    "MatrixFactorization": "accountants.events",
    "Odometer": "accountants.budgets.odometer",
    "Opinion": "accountants.auditing.opinions.opinion",
    "Parallel": "accountants.events",
    "PoissonSampled": "accountants.events",
    "PriorResponse": "accountants.events",
    "PrivkdError": "accountants.errors",
    "PureDP": "accountants.events",
    "RDP": "accountants.events",
    "RandomAllocation": "accountants.events",
    "RandomizedResponse": "accountants.events",
    "Repeat": "accountants.events",
    "ResolutionError": "accountants.errors",
    "Sampler": "accountants.ledger.sampler",
    "Shuffled": "accountants.events",
    "SparseVector": "accountants.events",
    "SubsetResponse": "accountants.events",
    "Tradeoff": "accountants.guarantees.tradeoff",
    "TreeAggregation": "accountants.events",
    "UnsupportedEvent": "accountants.errors",
    "Verdict": "accountants.auditing.audit",
    "ZCDP": "accountants.events",
    "audit": "accountants.auditing.audit",
    "calibrate": "accountants.guarantees.calibration",
    "curve": "accountants.guarantees.profile",
    "delta": "accountants.composition.epsilon",
    "epsilon": "accountants.composition.epsilon",
    "from_dict": "accountants.events",
    "gaussian_mu": "accountants.methods.exact.gaussian",
    "group": "accountants.events.group_privacy",
    "group_privacy": "accountants.events.group_privacy",
    "parallel": "accountants.events",
    "parse": "accountants.events.expression",
    "renyi": "accountants.methods.renyi.renyi",
    "spending": "accountants.ledger.spending",
    "teacher_ceiling": "accountants.guarantees.teacher_ceiling",
    "tradeoff": "accountants.guarantees.tradeoff",
}
__all__ = [
    "GDP",
    "RDP",
    "ZCDP",
    "Adjacency",
    "AdjacencyError",
    "ApproxDP",
    "AuditReport",
    "Bound",
    "BudgetExceeded",
    "Calibration",
    "CalibrationError",
    "Composed",
    "ConfidentGNMax",
    "DiscreteGaussian",
    "DiscreteLaplace",
    "Event",
    "Exponential",
    "Filter",
    "FixedSizeSampled",
    "GNMax",
    "Gaussian",
    "LNMax",
    "Laplace",
    "Ledger",
    "LedgerError",
    "MatrixFactorization",
    "Odometer",
    "Opinion",
    "Parallel",
    "PoissonSampled",
    "PriorResponse",
    "PrivkdError",
    "PureDP",
    "RandomAllocation",
    "RandomizedResponse",
    "Repeat",
    "ResolutionError",
    "Sampler",
    "Shuffled",
    "SparseVector",
    "SubsetResponse",
    "Tradeoff",
    "TreeAggregation",
    "UnsupportedEvent",
    "Verdict",
    "audit",
    "calibrate",
    "curve",
    "delta",
    "epsilon",
    "from_dict",
    "gaussian_mu",
    "group",
    "group_privacy",
    "parallel",
    "parse",
    "renyi",
    "spending",
    "teacher_ceiling",
    "tradeoff",
]

if TYPE_CHECKING:
    from accountants.adjacency import Adjacency as Adjacency
    from accountants.auditing.audit import AuditReport as AuditReport
    from accountants.auditing.audit import Verdict as Verdict
    from accountants.auditing.audit import audit as audit
    from accountants.auditing.opinions.opinion import Opinion as Opinion
    from accountants.bound import Bound as Bound
    from accountants.budgets.filter import Filter as Filter
    from accountants.budgets.odometer import Odometer as Odometer
    from accountants.composition.epsilon import delta as delta
    from accountants.composition.epsilon import epsilon as epsilon
    from accountants.errors import AdjacencyError as AdjacencyError
    from accountants.errors import BudgetExceeded as BudgetExceeded
    from accountants.errors import CalibrationError as CalibrationError
    from accountants.errors import LedgerError as LedgerError
    from accountants.errors import PrivkdError as PrivkdError
    from accountants.errors import ResolutionError as ResolutionError
    from accountants.errors import UnsupportedEvent as UnsupportedEvent
    from accountants.events import GDP as GDP
    from accountants.events import RDP as RDP
    from accountants.events import ZCDP as ZCDP
    from accountants.events import ApproxDP as ApproxDP
    from accountants.events import Composed as Composed
    from accountants.events import ConfidentGNMax as ConfidentGNMax
    from accountants.events import DiscreteGaussian as DiscreteGaussian
    from accountants.events import DiscreteLaplace as DiscreteLaplace
    from accountants.events import Event as Event
    from accountants.events import Exponential as Exponential
    from accountants.events import FixedSizeSampled as FixedSizeSampled
    from accountants.events import Gaussian as Gaussian
    from accountants.events import GNMax as GNMax
    from accountants.events import Laplace as Laplace
    from accountants.events import LNMax as LNMax
    from accountants.events import MatrixFactorization as MatrixFactorization
    from accountants.events import Parallel as Parallel
    from accountants.events import PoissonSampled as PoissonSampled
    from accountants.events import PriorResponse as PriorResponse
    from accountants.events import PureDP as PureDP
    from accountants.events import RandomAllocation as RandomAllocation
    from accountants.events import RandomizedResponse as RandomizedResponse
    from accountants.events import Repeat as Repeat
    from accountants.events import Shuffled as Shuffled
    from accountants.events import SparseVector as SparseVector
    from accountants.events import SubsetResponse as SubsetResponse
    from accountants.events import TreeAggregation as TreeAggregation
    from accountants.events import from_dict as from_dict
    from accountants.events import parallel as parallel
    from accountants.events.expression import parse as parse
    from accountants.events.group_privacy import group as group
    from accountants.events.group_privacy import group_privacy as group_privacy
    from accountants.guarantees.calibration import Calibration as Calibration
    from accountants.guarantees.calibration import calibrate as calibrate
    from accountants.guarantees.profile import curve as curve
    from accountants.guarantees.teacher_ceiling import teacher_ceiling as teacher_ceiling
    from accountants.guarantees.tradeoff import Tradeoff as Tradeoff
    from accountants.guarantees.tradeoff import tradeoff as tradeoff
    from accountants.ledger.ledger import Ledger as Ledger
    from accountants.ledger.sampler import Sampler as Sampler
    from accountants.ledger.spending import spending as spending
    from accountants.methods.exact.gaussian import gaussian_mu as gaussian_mu
    from accountants.methods.renyi.renyi import renyi as renyi


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_LAZY[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
