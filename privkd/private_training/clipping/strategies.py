"""Which strategy runs: the fastest whose norms and gradients are, on a few records, those of the loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial

import torch
from torch import nn

from privkd.errors import UnsupportedModule
from privkd.private_training.clipping.agreement import Measured, agree, in_float64, rounding_unit, without_autocast
from privkd.private_training.clipping.clipped_sum import ClippedSum
from privkd.private_training.clipping.ghost import ghost, mixing_sites
from privkd.private_training.clipping.job import Job, NotCovered, Rows
from privkd.private_training.clipping.layers.recording import uncovered
from privkd.private_training.clipping.loop import loop
from privkd.private_training.clipping.opacus import through_opacus
from privkd.private_training.clipping.probes import singly
from privkd.private_training.clipping.replay import Replay, without_dropout
from privkd.private_training.clipping.rules import Flat
from privkd.private_training.clipping.vmap import vectorized

Strategy = Callable[[Job, Rows], ClippedSum]
"""The sum of clipped gradients of a job; rows are tensors of shape (records, ...), or (records, views, ...)."""

_STRATEGIES: dict[str, Strategy] = {"ghost": ghost, "vmap": vectorized, "loop": loop, "opacus": through_opacus}
_BY_SPEED = ("ghost", "vmap", "loop")
_TOGETHER = ("ghost", "opacus")  # strategies that compute all records in one pass
_CLIPS_NOTHING = Flat(1e30)
_UNABLE = (NotCovered, RuntimeError, ValueError, TypeError, AttributeError, IndexError, KeyError, AssertionError)


class Choice:
    """The strategy that runs, which `"auto"` makes slower until it is exact.

    Args:
        asked: name of a strategy, or `"auto"`.

    Attributes:
        name: of what runs.
        reasons: why faster strategies do not run, one line each.

    Raises:
        ValueError: there is no such strategy.
    """

    def __init__(self, asked: str) -> None:
        if asked != "auto" and asked not in _STRATEGIES:
            raise ValueError(f"strategy={asked!r}; allowed are 'auto', {', '.join(map(repr, _STRATEGIES))}")
        self._is_free = asked == "auto"
        self.name = _BY_SPEED[0] if self._is_free else asked
        self.reasons: tuple[str, ...] = ()

    def __call__(self, job: Job, rows: Rows) -> ClippedSum:
        """The clipped sum by this strategy."""
        return _STRATEGIES[self.name](job, rows)

    def require_coverage(self, model: nn.Module) -> None:
        """Go to a slower strategy where the types of modules show that this one cannot be exact."""
        if self.name == "ghost" and (found := uncovered(model)):
            self.slow_down("; ".join(found))

    def settle(self, job: Job, rows: Rows, steady: bool) -> bool:
        """Go to slower strategies until one passes; whether there was anything to compare."""
        while self.name != "loop":
            try:
                with without_autocast(job, rows):
                    meaningful = check_strategy(job, rows, _STRATEGIES[self.name], self.name, steady)
                if torch.is_autocast_enabled(rows[0].device.type):
                    self(job, rows)  # some strategies cannot do in half precision what they can do otherwise
                return meaningful
            except _UNABLE as problem:
                if isinstance(problem, UnsupportedModule) or not (self._is_free or isinstance(problem, NotCovered)):
                    raise
                self.slow_down(str(problem))
        return True

    def slow_down(self, reason: str) -> None:
        """Take the next slower strategy.

        Raises:
            UnsupportedModule: this one was asked for by name.
        """
        lines = reason.strip().splitlines()
        line = f"{self.name}: {lines[0] if lines else 'failed without a message'}"
        if not self._is_free:
            raise UnsupportedModule(
                f"strategy={self.name!r} is not exact for this model. {line}. Use strategy='auto', which takes a slower "
                "one where it must, or rewrite these parts"
            )
        self.reasons = (*self.reasons, line)
        self.name = _BY_SPEED[_BY_SPEED.index(self.name) + 1]


def check_strategy(job: Job, rows: Rows, strategy: Strategy, name: str, steady: bool) -> bool:
    """Check on a few rows that a strategy finds the norms and gradients that the loop finds, without dropout.

    For ghost clipping it is also checked that each record has rows of its own in every layer. Where losses are not `steady`,
    as they draw random numbers, strategies that compute records together cannot be compared, and the others are compared
    record by record, where they draw what the loop draws.

    Returns:
        Whether any record was finite, so that there was something to compare.

    Raises:
        NotCovered: it does not; the message says what differs.
    """
    if name in _TOGETHER and not steady:
        raise NotCovered(
            "the loss draws random numbers, so that gradients of records together and alone cannot be compared"
        )
    if name == "ghost" and (mixing := mixing_sites(job, rows)):
        raise NotCovered(f"dimension 0 is not the records in {', '.join(mixing)}")
    # Unclipped, as clipping would hide norms that are wrong in the same way as gradients.
    unclipped = replace(job, rule=_CLIPS_NOTHING)
    with without_dropout(job.model):
        compared = [_compared(unclipped, part, strategy) for part in ([rows] if steady else singly(rows))]
    return any(compared)


def _compared(job: Job, rows: Rows, strategy: Strategy) -> bool:
    """Whether any record was finite, if a strategy finds what the loop finds with the same random numbers."""
    eps, replay = rounding_unit(job, rows), Replay(job.generators)

    def both(job: Job) -> tuple[ClippedSum, ClippedSum]:
        replay.rewind()
        truth = loop(job, rows)
        replay.rewind()
        return strategy(job, rows), truth

    tried, truth = both(job)
    repeated = cache(lambda: both(in_float64(job)))

    for key in (None, *truth.gradients):
        again = partial(lambda key: _measured(*repeated(), key), key)
        if not agree(*_measured(tried, truth, key), eps=eps, again=again):
            differing = "gradient norms differ" if key is None else f"the gradient of {key} differs"
            raise NotCovered(f"{differing} from the loop's")
    return bool(truth.norms.isfinite().any())


def _measured(tried: ClippedSum, truth: ClippedSum, key: str | None) -> Measured:
    """Both gradients of a parameter, or both norms, beside what their difference is measured by."""
    if key is None:
        return tried.norms, truth.norms, truth.norms
    return tried.gradients[key], truth.gradients[key], truth.norms
