"""Gradients of private records for the trainer: drawn batches, clipped sums, noise, and what they cost.

`PrivateGradients` is the argument of `Trainer`; it knows nothing of what is learned.
"""

from typing import TYPE_CHECKING

from accountants import lazy_door

if TYPE_CHECKING:
    from privkd.private_training.adaptive_clip import Quantile as Quantile
    from privkd.private_training.banded_noise import Banded as Banded
    from privkd.private_training.clipping.clipped_sum import ClippedSum as ClippedSum
    from privkd.private_training.clipping.clipper import Clipper as Clipper
    from privkd.private_training.clipping.clipper import clipped_sum as clipped_sum
    from privkd.private_training.clipping.replacements import fix as fix
    from privkd.private_training.clipping.rules import Automatic as Automatic
    from privkd.private_training.clipping.rules import Flat as Flat
    from privkd.private_training.clipping.rules import PerLayer as PerLayer
    from privkd.private_training.clipping.rules import Rule as Rule
    from privkd.private_training.clipping.static_checks import problems as problems
    from privkd.private_training.private_gradients import PrivateGradients as PrivateGradients

__getattr__, __dir__, __all__ = lazy_door(
    __name__,
    {
        "privkd.private_training.adaptive_clip": "Quantile",
        "privkd.private_training.banded_noise": "Banded",
        "privkd.private_training.clipping.clipped_sum": "ClippedSum",
        "privkd.private_training.clipping.clipper": "Clipper clipped_sum",
        "privkd.private_training.clipping.replacements": "fix",
        "privkd.private_training.clipping.rules": "Automatic Flat PerLayer Rule",
        "privkd.private_training.clipping.static_checks": "problems",
        "privkd.private_training.private_gradients": "PrivateGradients",
    },
)
