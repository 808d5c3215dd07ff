"""Mechanisms: the only place where noise is drawn, and every draw charges a ledger first.

A mechanism has three methods: `event(...)` says what a release costs (for planning, without data), `release(...)`
validates, charges, then randomizes, and `log_likelihood(...)` says how probable the released value is under each
class, so that a learner can use the noise that it knows. No model, no training and no accountant lives here.
"""

from typing import TYPE_CHECKING

_LAZY = {
    "Automatic": "privkd.mechanisms.clipping.rules",
    "Banded": "privkd.mechanisms.gradients.banded",
    "BoundedSum": "privkd.mechanisms.sums",
    "CandidateSets": "privkd.mechanisms.candidates",
    "CellHistogram": "privkd.mechanisms.votes",
    "ClippedSum": "privkd.mechanisms.clipping.clipped",
    "Clipper": "privkd.mechanisms.clipping.clipper",
    "CostRelease": "privkd.mechanisms.cost",
    "Flat": "privkd.mechanisms.clipping.rules",
    "GNMax": "privkd.mechanisms.votes",
    "KaryResponse": "privkd.mechanisms.response",
    "NoiseSource": "privkd.mechanisms.noise",
    "PerLayer": "privkd.mechanisms.clipping.rules",
    "PrivateGradients": "privkd.mechanisms.gradients.private",
    "Quantile": "privkd.mechanisms.gradients.quantile",
    "ResponseWithPrior": "privkd.mechanisms.response",
    "SeededNoise": "privkd.mechanisms.noise",
    "SelectiveResponse": "privkd.mechanisms.response",
    "SystemNoise": "privkd.mechanisms.noise",
    "VoteHistogram": "privkd.mechanisms.votes",
    "clipped_sum": "privkd.mechanisms.clipping.clipper",
    "problems": "privkd.mechanisms.clipping.validation",
}
__all__ = [
    "Automatic",
    "Banded",
    "BoundedSum",
    "CandidateSets",
    "CellHistogram",
    "ClippedSum",
    "Clipper",
    "CostRelease",
    "Flat",
    "GNMax",
    "KaryResponse",
    "NoiseSource",
    "PerLayer",
    "PrivateGradients",
    "Quantile",
    "ResponseWithPrior",
    "SeededNoise",
    "SelectiveResponse",
    "SystemNoise",
    "VoteHistogram",
    "clipped_sum",
    "problems",
]

if TYPE_CHECKING:
    from privkd.mechanisms.candidates import CandidateSets as CandidateSets
    from privkd.mechanisms.clipping.clipped import ClippedSum as ClippedSum
    from privkd.mechanisms.clipping.clipper import Clipper as Clipper
    from privkd.mechanisms.clipping.clipper import clipped_sum as clipped_sum
    from privkd.mechanisms.clipping.rules import Automatic as Automatic
    from privkd.mechanisms.clipping.rules import Flat as Flat
    from privkd.mechanisms.clipping.rules import PerLayer as PerLayer
    from privkd.mechanisms.clipping.validation import problems as problems
    from privkd.mechanisms.cost import CostRelease as CostRelease
    from privkd.mechanisms.gradients.banded import Banded as Banded
    from privkd.mechanisms.gradients.private import PrivateGradients as PrivateGradients
    from privkd.mechanisms.gradients.quantile import Quantile as Quantile
    from privkd.mechanisms.noise import NoiseSource as NoiseSource
    from privkd.mechanisms.noise import SeededNoise as SeededNoise
    from privkd.mechanisms.noise import SystemNoise as SystemNoise
    from privkd.mechanisms.response import KaryResponse as KaryResponse
    from privkd.mechanisms.response import ResponseWithPrior as ResponseWithPrior
    from privkd.mechanisms.response import SelectiveResponse as SelectiveResponse
    from privkd.mechanisms.sums import BoundedSum as BoundedSum
    from privkd.mechanisms.votes import CellHistogram as CellHistogram
    from privkd.mechanisms.votes import GNMax as GNMax
    from privkd.mechanisms.votes import VoteHistogram as VoteHistogram


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; public names: {', '.join(__all__)}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_LAZY[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
