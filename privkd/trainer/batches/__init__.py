"""Batches of a run: which rows, and where they come from."""
