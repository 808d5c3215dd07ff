"""Budgets for choices that depend on earlier answers: privacy filters and odometers."""
