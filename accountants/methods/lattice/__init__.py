"""Certified two-sided composition of dominating pairs on a lattice of privacy losses."""

from accountants.methods.lattice.accountant import LatticeAnswer, Profile, delta_of, epsilon_of
from accountants.methods.lattice.directions import stranger

__all__ = ["LatticeAnswer", "Profile", "delta_of", "epsilon_of", "stranger"]
