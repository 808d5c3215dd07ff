"""Where to look for an answer in one direction, before the fine lattice is made."""

from dataclasses import dataclass

from accountants.methods.lattice.directions import Releases
from accountants.methods.lattice.first_look import FirstLook
from accountants.methods.lattice.law import LatticeLaw, Tails


@dataclass(frozen=True, slots=True)
class Plan:
    """Where to look in one direction.

    Attributes:
        releases: what is composed.
        first_look: estimates and window.
        tails: what the laws may leave out.
        pilots: the coarse laws that the estimates come from.
    """

    releases: Releases
    first_look: FirstLook
    tails: Tails
    pilots: tuple[LatticeLaw, ...]
