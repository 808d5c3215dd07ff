"""Rounding that never goes the wrong way, and certified root finding."""
