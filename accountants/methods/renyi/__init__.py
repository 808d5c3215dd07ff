"""Rényi accounting: a curve per event, and its conversion to (epsilon, delta). An upper end, always available."""
