"""Gradients of private records for the trainer: drawn batches, clipped sums, noise, and what they cost.

`PrivateGradients` is the argument of `Trainer`; it knows nothing of what is learned.
"""
