"""Accountants that are tight up to rounding: Gaussian compositions, randomized responses of one eps0."""
