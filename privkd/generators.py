"""Door to the generator library: the same objects as in the top-level package `generators`."""

import generators as _generators

if getattr(_generators, "__distribution__", None) != "privkd":
    raise ImportError(
        f"found another package named 'generators' at {_generators.__file__}; uninstall it, privkd brings its own"
    )

from generators import SmallGenerator as SmallGenerator
from generators import coverage_loss as coverage_loss
