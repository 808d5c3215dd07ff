"""Dominating pairs of one release, in both directions: the input of numerical accountants. Knows no composition."""
