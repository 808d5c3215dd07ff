"""Door to the accounting library: the same objects as in the top-level package `accountants`."""

import accountants as _accountants

if getattr(_accountants, "__distribution__", None) != "privkd":
    raise ImportError(
        f"found another package named 'accountants' at {_accountants.__file__}; uninstall it, privkd brings its own"
    )

from accountants import Adjacency as Adjacency
from accountants import AdjacencyError as AdjacencyError
from accountants import ApproxDP as ApproxDP
from accountants import AuditReport as AuditReport
from accountants import Bound as Bound
from accountants import BudgetExceeded as BudgetExceeded
from accountants import Calibration as Calibration
from accountants import CalibrationError as CalibrationError
from accountants import Composed as Composed
from accountants import Event as Event
from accountants import Gaussian as Gaussian
from accountants import GNMax as GNMax
from accountants import Ledger as Ledger
from accountants import LedgerError as LedgerError
from accountants import PoissonSampled as PoissonSampled
from accountants import PriorResponse as PriorResponse
from accountants import PrivkdError as PrivkdError
from accountants import PureDP as PureDP
from accountants import RandomizedResponse as RandomizedResponse
from accountants import Repeat as Repeat
from accountants import ResolutionError as ResolutionError
from accountants import UnsupportedEvent as UnsupportedEvent
from accountants import audit as audit
from accountants import calibrate as calibrate
from accountants import delta as delta
from accountants import epsilon as epsilon
from accountants import from_dict as from_dict
from accountants import gaussian_mu as gaussian_mu
from accountants import group_privacy as group_privacy
from accountants import parse as parse
from accountants import renyi as renyi
from accountants import teacher_ceiling as teacher_ceiling
