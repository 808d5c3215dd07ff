"""Generators: networks that make inputs from latent vectors. They know tensors, not privacy.

Whether a generator may be released is decided by what trained it, never in here.
"""

from generators.coverage import coverage_loss
from generators.small import SmallGenerator

__distribution__ = "privkd"
__all__ = ["SmallGenerator", "coverage_loss"]
