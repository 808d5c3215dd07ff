"""Door to the accounting library: the same objects as in the top-level package `accountants`."""

import accountants as _accountants

if getattr(_accountants, "__distribution__", None) != "privkd":
    raise ImportError(
        f"found another package named 'accountants' at {_accountants.__file__}; uninstall it, privkd brings its own"
    )

from accountants import GDP as GDP
from accountants import RDP as RDP
from accountants import ZCDP as ZCDP
from accountants import Adjacency as Adjacency
from accountants import AdjacencyError as AdjacencyError
from accountants import ApproxDP as ApproxDP
from accountants import AuditReport as AuditReport
from accountants import Bound as Bound
from accountants import BudgetExceeded as BudgetExceeded
from accountants import Calibration as Calibration
from accountants import CalibrationError as CalibrationError
from accountants import Composed as Composed
from accountants import ConfidentGNMax as ConfidentGNMax
from accountants import DiscreteGaussian as DiscreteGaussian
from accountants import DiscreteLaplace as DiscreteLaplace
from accountants import Event as Event
from accountants import Exponential as Exponential
from accountants import Filter as Filter
from accountants import FixedSizeSampled as FixedSizeSampled
from accountants import Gaussian as Gaussian
from accountants import GNMax as GNMax
from accountants import Laplace as Laplace
from accountants import Ledger as Ledger
from accountants import LedgerError as LedgerError
from accountants import LNMax as LNMax
from accountants import MatrixFactorization as MatrixFactorization
from accountants import Odometer as Odometer
from accountants import Opinion as Opinion
from accountants import Parallel as Parallel
from accountants import PoissonSampled as PoissonSampled
from accountants import PriorResponse as PriorResponse
from accountants import PrivkdError as PrivkdError
from accountants import PureDP as PureDP
from accountants import RandomAllocation as RandomAllocation
from accountants import RandomizedResponse as RandomizedResponse
from accountants import Repeat as Repeat
from accountants import ResolutionError as ResolutionError
from accountants import Sampler as Sampler
from accountants import Shuffled as Shuffled
from accountants import SparseVector as SparseVector
from accountants import SubsetResponse as SubsetResponse
from accountants import Tradeoff as Tradeoff
from accountants import TreeAggregation as TreeAggregation
from accountants import UnsupportedEvent as UnsupportedEvent
from accountants import Verdict as Verdict
from accountants import audit as audit
from accountants import calibrate as calibrate
from accountants import curve as curve
from accountants import delta as delta
from accountants import epsilon as epsilon
from accountants import from_dict as from_dict
from accountants import gaussian_mu as gaussian_mu
from accountants import group as group
from accountants import group_privacy as group_privacy
from accountants import parallel as parallel
from accountants import parse as parse
from accountants import renyi as renyi
from accountants import spending as spending
from accountants import teacher_ceiling as teacher_ceiling
from accountants import tradeoff as tradeoff
