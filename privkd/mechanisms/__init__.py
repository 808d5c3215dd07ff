"""Mechanisms: the only place where noise is drawn, and every draw charges a ledger first.

A mechanism has two methods: `event(...)` says what a release costs (for planning, without data), and `release(...)`
validates, charges, then randomizes. Randomized responses have a third: `log_likelihood(...)` says how probable the released
value is under each class, so that a learner can use the noise that it knows. No model, no training and no accountant lives here.
"""

from typing import TYPE_CHECKING

from accountants import lazy_door

if TYPE_CHECKING:
    from privkd.mechanisms.candidates import CandidateSets as CandidateSets
    from privkd.mechanisms.histograms import CellHistogram as CellHistogram
    from privkd.mechanisms.histograms import GNMax as GNMax
    from privkd.mechanisms.histograms import VoteHistogram as VoteHistogram
    from privkd.mechanisms.noise import NoiseSource as NoiseSource
    from privkd.mechanisms.noise import SeededNoise as SeededNoise
    from privkd.mechanisms.noise import SystemNoise as SystemNoise
    from privkd.mechanisms.pate_cost import CostRelease as CostRelease
    from privkd.mechanisms.prior_response import ResponseWithPrior as ResponseWithPrior
    from privkd.mechanisms.randomized_response import KaryResponse as KaryResponse
    from privkd.mechanisms.randomized_response import SelectiveResponse as SelectiveResponse
    from privkd.mechanisms.sums import BoundedSum as BoundedSum

__getattr__, __dir__, __all__ = lazy_door(
    __name__,
    {
        "privkd.mechanisms.candidates": "CandidateSets",
        "privkd.mechanisms.noise": "NoiseSource SeededNoise SystemNoise",
        "privkd.mechanisms.pate_cost": "CostRelease",
        "privkd.mechanisms.prior_response": "ResponseWithPrior",
        "privkd.mechanisms.randomized_response": "KaryResponse SelectiveResponse",
        "privkd.mechanisms.sums": "BoundedSum",
        "privkd.mechanisms.histograms": "CellHistogram GNMax VoteHistogram",
    },
    moved={
        "privkd.private_training": "Automatic Banded ClippedSum Clipper Flat PerLayer PrivateGradients Quantile "
        "clipped_sum problems"
    },
)
