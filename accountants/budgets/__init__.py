"""Budgets for choices that depend on earlier answers: privacy filters and an odometer, and the rules they check."""
