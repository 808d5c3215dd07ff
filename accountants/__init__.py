"""Exact and certified privacy accounting: events, epsilon, calibration, a hash-chained ledger and its audit.

Needs numpy and scipy only; importing the package imports neither until a name that needs them is used.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__distribution__ = "privkd"


def lazy_door(
    package: str, names: "Mapping[str, str]", *, moved: "Mapping[str, str] | None" = None
) -> "tuple[Callable[[str], object], Callable[[], list[str]], list[str]]":
    """What a package's `__init__` needs so that its public names are imported when they are first used.

    Args:
        package: `__name__` of the caller.
        names: from a module to its public names, separated by spaces.
        moved: the same for names that live elsewhere now: they are still found here, with a DeprecationWarning, and not listed.

    Returns:
        Its `__getattr__`, `__dir__` and `__all__`.
    """
    home = {name: module for module, line in names.items() for name in line.split()}
    gone = {name: module for module, line in (moved or {}).items() for name in line.split()}
    public = sorted(home)

    def find(name: str) -> object:
        from importlib import import_module
        from sys import modules

        if name in gone:
            from warnings import warn

            warn(f"{package}.{name} is {gone[name]}.{name} now", DeprecationWarning, stacklevel=2)
            return getattr(import_module(gone[name]), name)
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}; public names: {', '.join(public)}")
        value = getattr(import_module(home[name]), name)
        setattr(modules[package], name, value)
        return value

    def listed() -> list[str]:
        from sys import modules

        return sorted({*vars(modules[package]), *public} - {"lazy_door"})

    return find, listed, public


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

__getattr__, __dir__, __all__ = lazy_door(
    __name__,
    {
        "accountants.adjacency": "Adjacency",
        "accountants.auditing.audit": "AuditReport Verdict audit",
        "accountants.auditing.opinions.opinion": "Opinion",
        "accountants.bound": "Bound",
        "accountants.budgets.filter": "Filter",
        "accountants.budgets.odometer": "Odometer",
        "accountants.composition.epsilon": "delta epsilon",
        "accountants.errors": (
            "AdjacencyError BudgetExceeded CalibrationError LedgerError PrivkdError ResolutionError UnsupportedEvent"
        ),
        "accountants.events": (
            "ApproxDP Composed ConfidentGNMax DiscreteGaussian DiscreteLaplace Event Exponential "
            "FixedSizeSampled GDP GNMax Gaussian LNMax Laplace MatrixFactorization Parallel PoissonSampled "
            "PriorResponse PureDP RDP RandomAllocation RandomizedResponse Repeat Shuffled SparseVector "
            "SubsetResponse TreeAggregation ZCDP from_dict parallel"
        ),
        "accountants.events.expression": "parse",
        "accountants.events.group_privacy": "group group_privacy",
        "accountants.guarantees.calibration": "Calibration calibrate",
        "accountants.guarantees.profile": "curve",
        "accountants.guarantees.teacher_ceiling": "teacher_ceiling",
        "accountants.guarantees.tradeoff": "Tradeoff tradeoff",
        "accountants.ledger.ledger": "Ledger",
        "accountants.ledger.sampler": "Sampler",
        "accountants.ledger.spending": "spending",
        "accountants.methods.exact.gaussian": "gaussian_mu",
        "accountants.methods.renyi.renyi": "renyi",
    },
)
