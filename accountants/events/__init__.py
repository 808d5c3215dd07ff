"""What mechanisms did, as data: primitives, combinators, JSON form and normal form."""

from accountants.events.algebra import Composed, Event, PoissonSampled, Repeat
from accountants.events.claims import ApproxDP, PureDP
from accountants.events.codec import KINDS, from_dict
from accountants.events.gaussian import Gaussian, GNMax
from accountants.events.normal import as_event, distinct, merge_gaussians, normal_form
from accountants.events.response import PriorResponse, RandomizedResponse

__all__ = [
    "KINDS",
    "ApproxDP",
    "Composed",
    "Event",
    "GNMax",
    "Gaussian",
    "PoissonSampled",
    "PriorResponse",
    "PureDP",
    "RandomizedResponse",
    "Repeat",
    "as_event",
    "distinct",
    "from_dict",
    "merge_gaussians",
    "normal_form",
]
