"""Certified two-sided composition of dominating pairs on a lattice of privacy losses."""
