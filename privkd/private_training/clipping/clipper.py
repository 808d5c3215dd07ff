"""One call for sums of clipped gradients, whatever the model: chooses the fastest strategy that is exact."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from copy import copy
from dataclasses import replace

import torch
from torch import Tensor, nn

from accountants import check
from privkd.plain import plain
from privkd.private_training.clipping.agreement import without_autocast
from privkd.private_training.clipping.clipped_sum import ClippedSum, empty
from privkd.private_training.clipping.job import Job, NotCovered, Rows
from privkd.private_training.clipping.probes import spread
from privkd.private_training.clipping.probing import check_records_are_separate
from privkd.private_training.clipping.replay import undisturbed
from privkd.private_training.clipping.rules import Rule, as_rule
from privkd.private_training.clipping.static_checks import require_separate_records
from privkd.private_training.clipping.strategies import Choice

_CHECKED_AGAIN = 256  # batches after which everything is checked again
_RECORDS_TRIED = 3


class Clipper:
    """Sums clipped gradients of batch after batch.

    Nothing is noised and nothing is charged here: what it returns is private. The model is left as it was: no hooks, no
    `.grad`, no changed modes or buffers, also when the loss raises. Random layers draw from the global generator.

    Every new shape, memory layout and mode of a batch is checked on its first three records (see `probing`): that
    records do not mix, that nothing is remembered, and that the strategy finds what the loop finds. Batches 2, 4, 8, ... and
    every 256th are checked again, as a model may change its ways while it is trained.

    Args:
        model: the module; its parameters that require a gradient are clipped together.
        loss_per_sample: called as `loss_per_sample(model, *rows)`, gives one loss per row, shape (rows,). The loss of a
            row must not depend on the other rows.
        rule: flat clipping at this L2 norm (> 0), or a rule: `Flat`, `PerLayer`, `Automatic`.
        strategy: `"auto"` (the fastest of the next three that is exact for this model), `"ghost"` (common layers),
            `"vmap"` (functional models), `"loop"` (all), or `"opacus"` (through that library).
        views: rows per record K; for K > 1 tensors have shape (records, K, ...), the loss function sees records * K
            rows, and a record's gradient is the mean over its views, clipped once (De et al., arXiv 2204.13650).
        at_once: most records in one forward pass; None for all. It changes the memory, not the result.
        generators: random generators that the loss draws from, beside the global ones; checks leave them as they were.
        keepers: objects beside the model in whose attributes the loss may keep something, such as a task.

    Raises:
        ValueError: no parameter requires a gradient, or an argument is out of range.
        MixedRecordsError: the model mixes records; all known places are listed.
        UnsupportedModule: the strategy that was asked for by name does not cover the model.

    Example:
        >>> import torch
        >>> model, data = nn.Linear(2, 1, bias=False), torch.tensor([[3.0, 4.0], [0.3, 0.4]])
        >>> total = Clipper(model, lambda m, x: m(x).squeeze(1), 1.0)(data)
        >>> [round(value, 4) for value in total.gradients["weight"].flatten().tolist()]
        [0.9, 1.2]
        >>> total.sensitivity("replace-one")
        2.0
    """

    def __init__(
        self,
        model: nn.Module,
        loss_per_sample: Callable[..., Tensor],
        rule: float | Rule,
        strategy: str = "auto",
        views: int = 1,
        at_once: int | None = None,
        generators: Sequence[torch.Generator] = (),
        keepers: Sequence[object] = (),
    ) -> None:
        self._choice = Choice(strategy)
        views, at_once = plain(views), plain(at_once)
        check.integer(views=views, at_least=1)
        if at_once is not None:
            check.integer(at_once=at_once, at_least=1)
        self._job = Job(model, loss_per_sample, as_rule(rule), views, tuple(generators), tuple(keepers))
        self._at_once = at_once
        self._checked: dict[object, int] = {}
        self._batches = 0
        self._job.require_trainable()
        require_separate_records(model)
        self._choice.require_coverage(model)

    @property
    def strategy(self) -> str:
        """What runs; with `"auto"` it is settled by the first batch."""
        return self._choice.name

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why faster strategies do not run, one line each."""
        return self._choice.reasons

    @property
    def rule(self) -> Rule:
        """How records are clipped; another rule may be given between two batches."""
        return self._job.rule

    @rule.setter
    def rule(self, rule: Rule) -> None:
        rule.groups(list(self._job.trained()))
        self._job = replace(self._job, rule=rule)

    def __call__(self, *batch: Tensor) -> ClippedSum:
        """Sum over the records of a batch, which may be empty.

        Args:
            *batch: tensors with a common number of records b >= 0, shape (b, ...), or (b, views, ...).

        Raises:
            ValueError: tensors do not fit each other.
            MixedRecordsError: records mix.
            UnsupportedModule: the strategy that was asked for is not exact for this model and batch.
        """
        records = self._job.count(batch)
        require_separate_records(self._job.model)
        self._choice.require_coverage(self._job.model)
        if records == 0:
            self._job.require_trainable()
            return empty(self._job.trained(), self._job.rule)
        self._batches += 1
        if self._batches % _CHECKED_AGAIN == 0 or self._batches.bit_count() == 1:
            self.check_next()
        self._check(batch)
        while True:
            try:
                return self._run(batch)
            except NotCovered as problem:  # the forward pass took a way that the checked records did not take
                self._choice.slow_down(str(problem))
                self._check(batch)

    def check_next(self) -> None:
        """Check the next batch again, whatever its number."""
        self._checked.clear()

    @property
    def names(self) -> list[str]:
        """The names of the trained parameters."""
        return list(self._job.trained())

    def undisturbed(self) -> AbstractContextManager[None]:
        """Context that leaves generators, parameters, buffers and attributes as they were."""
        return undisturbed(self._job)

    def losses(self, *batch: Tensor) -> Tensor:
        """Loss of every row of a batch, shape (records * views,): private."""
        with torch.enable_grad():
            return self._job.losses(batch)

    def unreached(self, *batch: Tensor) -> list[str]:
        """Trained parameters that no gradient reaches from the losses of a batch."""
        losses, trained = self.losses(*batch), self._job.trained()
        if not losses.requires_grad:
            return list(trained)
        gradients = torch.autograd.grad(losses.sum(), list(trained.values()), allow_unused=True)
        return [name for name, gradient in zip(trained, gradients, strict=True) if gradient is None]

    def try_out(self, *batch: Tensor) -> None:
        """Check a made-up batch like a first one, then forget it: the strategy is chosen on real ones.

        Raises:
            MixedRecordsError: records mix.
            UnsupportedModule: the strategy that was asked for is not exact for this model and batch.
        """
        self._job.count(batch)
        before, self._choice = self._choice, copy(self._choice)
        try:
            self._check(batch)
        finally:
            self._choice = before
            self._checked.clear()

    def _run(self, batch: Rows) -> ClippedSum:
        step = self._at_once or len(batch[0])
        starts = range(0, len(batch[0]), step)
        parts = (self._choice(self._job, tuple(part[start : start + step] for part in batch)) for start in starts)
        return sum(parts, next(parts))

    def _check(self, batch: Rows) -> None:
        """Try the strategy on the first records, and a slower one if it fails; nothing for kinds of batches known already."""
        tried = min(_RECORDS_TRIED, len(batch[0]))
        kind = _kind(self._job, batch)
        if self._checked.get((self.strategy, kind), 0) >= tried:
            return
        rows = tuple(part[:tried] for part in batch)  # neighbours, which keep the memory layout of the batch
        places = spread(batch, tried, self._batches)
        at_once = tuple(part[: self._at_once] for part in batch)
        with undisturbed(self._job):
            with without_autocast(self._job, rows):
                steady = check_records_are_separate(self._job, tuple(part[places] for part in batch), at_once)
            meaningful = self._choice.settle(self._job, rows, steady)
        if meaningful:
            self._checked[self.strategy, kind] = tried


def _kind(job: Job, rows: Rows) -> tuple[object, ...]:
    """What decides whether a check has to be repeated: shapes, dtypes and memory layouts of rows, modes, trained names."""
    orders = (tuple(sorted(range(part.dim()), key=lambda axis: -part.stride(axis))) for part in rows)
    shapes = tuple(
        (part.shape[1:], part.dtype, order, part.is_contiguous()) for part, order in zip(rows, orders, strict=True)
    )
    modes = tuple(module.training for module in job.model.modules())
    half = torch.is_autocast_enabled(rows[0].device.type)
    return shapes, modes, half, tuple(job.trained())


def clipped_sum(
    model: nn.Module,
    loss_per_sample: Callable[..., Tensor],
    batch: Rows,
    bound: float | Rule,
    strategy: str = "auto",
    *,
    views: int = 1,
    at_once: int | None = None,
    generators: Sequence[torch.Generator] = (),
) -> ClippedSum:
    """Sum of clipped gradients of one batch; for many batches keep a `Clipper`, which checks the model once.

    Args:
        model: the module whose trained parameters are meant.
        loss_per_sample: called as `loss_per_sample(model, *rows)`, gives one loss per row.
        batch: tensors with a common number of records b >= 0.
        bound: L2 norm of flat clipping (> 0), or a rule.
        strategy: see `Clipper`.
        views: rows per record.
        at_once: most records in one forward pass; None for all.
        generators: random generators that the loss draws from, beside the global ones.

    Returns:
        The sum, without noise: private.

    Raises:
        MixedRecordsError: the model mixes records.
        UnsupportedModule: the strategy that was asked for by name does not cover the model.

    Example:
        >>> import torch
        >>> total = clipped_sum(nn.Linear(2, 1), lambda m, x: m(x).squeeze(1), (torch.ones(0, 2),), 1.0)
        >>> total.gradients["bias"].tolist(), total.records
        ([0.0], 0)
    """
    return Clipper(model, loss_per_sample, bound, strategy, views, at_once, generators)(*batch)
