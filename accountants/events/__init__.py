"""What mechanisms did, as data: primitives, combinators, JSON form and normal form."""

from accountants.events.claims import GDP, RDP, ZCDP, ApproxDP, PureDP
from accountants.events.combinators import Composed, Repeat
from accountants.events.correlated import MatrixFactorization, TreeAggregation
from accountants.events.disjoint_parts import Parallel, parallel
from accountants.events.event import KINDS, Event, from_dict
from accountants.events.gaussian import DiscreteGaussian, Gaussian
from accountants.events.laplace import DiscreteLaplace, Laplace
from accountants.events.normal_form import as_event, distinct, merge_gaussians, normal_form
from accountants.events.person_groups import GroupSampledGaussian
from accountants.events.response import PriorResponse, RandomizedResponse, SubsetResponse
from accountants.events.sampling import FixedSizeSampled, PoissonSampled, RandomAllocation, Shuffled
from accountants.events.selection import Exponential, SparseVector
from accountants.events.voting import ConfidentGNMax, GNMax, LNMax

__all__ = [
    "GDP",
    "KINDS",
    "RDP",
    "ZCDP",
    "ApproxDP",
    "Composed",
    "ConfidentGNMax",
    "DiscreteGaussian",
    "DiscreteLaplace",
    "Event",
    "Exponential",
    "FixedSizeSampled",
    "GNMax",
    "Gaussian",
    "GroupSampledGaussian",
    "LNMax",
    "Laplace",
    "MatrixFactorization",
    "Parallel",
    "PoissonSampled",
    "PriorResponse",
    "PureDP",
    "RandomAllocation",
    "RandomizedResponse",
    "Repeat",
    "Shuffled",
    "SparseVector",
    "SubsetResponse",
    "TreeAggregation",
    "as_event",
    "distinct",
    "from_dict",
    "merge_gaussians",
    "normal_form",
    "parallel",
]
