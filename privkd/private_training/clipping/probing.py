"""Checks on a few records of a batch that records do not mix, and that passes leave nothing behind.

A model may be written in ways that no list of layers can foresee: sequence first instead of batch first, a batch mean in
the loss, statistics in buffers or attributes. So every new shape and memory layout of rows is tried on up to three
records before it is trusted, and again from time to time. What is compared is compared by `agree`: a difference ends a run
only if float64 shows it, too.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress

import torch
from torch import Tensor

from privkd.errors import UnsupportedModule
from privkd.private_training.clipping.agreement import Measured, agree, alike, in_float64, rounding_unit
from privkd.private_training.clipping.job import Job, Rows
from privkd.private_training.clipping.probes import exchanged, magnified, singly, unlike, without
from privkd.private_training.clipping.replay import Attributes, Replay, model_state, same, without_dropout
from privkd.private_training.clipping.row_tracing import nodes_behind
from privkd.private_training.clipping.static_checks import mixed_records

_TRAINS_NOTHING = "None of the inputs have requires_grad=True"  # what torch.utils.checkpoint warns of
_REENTRANT_NODE = "CheckpointFunctionBackward"
_COINS = 16  # passes in which random decisions must fall alike to be taken for none


def check_records_are_separate(job: Job, rows: Rows, batch: Rows) -> bool:
    """Check that no record's loss depends on another record, and that passes leave no trace in the model.

    Most is checked on a few rows, and rules that compare many records on a batch, as many as are computed at once. Random
    losses are made to draw the same numbers again.

    Returns:
        Whether the losses are the same with other random numbers once dropout is off.

    Raises:
        MixedRecordsError: they do, with all that was found.
        UnsupportedModule: a part of the model is recomputed in a way that hides its parameters.
    """
    kept = Attributes(job.model, job.keepers)
    _require_unchanged_state(job, rows)
    if len(rows[0]) > 1:
        _require_own_gradients(job, rows)
    steady = _require_own_losses(job, rows, kept)  # as it is trained
    if len(batch[0]) > 1 and _depends_on_many(job, batch, kept):
        raise mixed_records(["losses: the loss of a record changes with another record of its batch"])
    if not steady:
        with without_dropout(job.model):
            steady = _require_own_losses(job, rows, kept)
    return steady


class _Passes:
    """Passes that draw the same random numbers and begin with the same attributes."""

    def __init__(self, job: Job, kept: Attributes) -> None:
        self.job, self.replay, self._wide, self._kept = job, Replay(job.generators), in_float64(job), kept

    def __call__(self, rows: Rows, *, wide: bool = False, start: Replay | None = None, afresh: bool = True) -> Tensor:
        """Losses of the rows, `wide` in float64; generators begin at `start`, and `afresh` puts attributes back before."""
        if afresh:
            self._kept.put_back()
        (start or self.replay).rewind()
        return (self._wide if wide else self.job).losses(rows).detach()

    def after(self, others: Sequence[Rows], rows: Rows, *, wide: bool = False) -> Tensor:
        """Losses of the rows behind passes over other ones, whose traces are left."""
        self._kept.put_back()
        for other in others:
            with suppress(Exception):  # losses may refuse numbers that are out of range
                self(other, wide=wide, afresh=False)
        return self(rows, wide=wide, afresh=False)


def _require_own_losses(job: Job, rows: Rows, kept: Attributes) -> bool:
    """Refuse losses that depend on earlier passes or on other records; whether they are without random numbers."""
    passes, last, found = _Passes(job, kept), len(rows[0]) - 1, []
    with torch.enable_grad():  # with gradients, as some layers take other ways without
        together = passes(rows)
        end = passes.replay.position()
        steady = _is_steady(passes, rows, together)
        others = (magnified(rows), without(rows, 0))
        if not alike(
            passes.after(others, rows),
            together,
            again=lambda: (passes.after(others, rows, wide=True), passes(rows, wide=True)),
        ):
            raise mixed_records(
                [
                    "losses: they depend on earlier passes, or draw from a generator of their own; keep nothing of records, count "
                    "steps with context.step, and draw from context.generator or the global generators"
                ]
            )
        if last == 0:
            return steady
        if steady and not _alone_alike(passes, rows, together):
            found.append("losses: the loss of a record in a batch is not its loss alone")
        for place, other in ((last, 0), (0, last)):
            another = exchanged(rows, place, other)
            changed = passes(another)
            # Passes that end elsewhere drew other numbers: their losses say nothing of the records.
            if passes.replay.is_at(end) and not _others_alike(passes, (another, rows), (changed, together), place):
                found.append("losses: the loss of a record changes with another record")
                break
    if found:
        raise mixed_records(found)
    return steady


def _is_steady(passes: _Passes, rows: Rows, together: Tensor) -> bool:
    """Whether the losses of the first pass come again, whatever the generators draw.

    Python's own generator is drawn from by type checkers, too: there only values tell, and a few coins may fall alike.
    """
    drew, drew_from_python = passes.replay.drawn()
    if drew:
        return False
    for _ in range(_COINS if drew_from_python else 1):
        here = Replay(passes.job.generators)
        again = lambda here=here: (passes(rows, wide=True, start=here), passes(rows, wide=True))  # noqa: E731
        if not alike(passes(rows, start=here), together, again=again):
            return False
    return True


def _depends_on_many(job: Job, batch: Rows, kept: Attributes) -> bool:
    """Whether the losses of a whole batch change when one record does, and becomes very large.

    Rules that compare a record with many others (outliers, capacities, quantiles) show nothing among three.
    """
    place, passes = len(batch[0]) // 2, _Passes(job, kept)
    with torch.enable_grad():
        together = passes(batch)
        end = passes.replay.position()
        other = unlike(batch, [place], place - 1)
        for another in (exchanged(batch, place, other, magnified), exchanged(batch, place, other)):
            with suppress(Exception):  # a loss may refuse the first: the second is tried
                changed = passes(another)
                return passes.replay.is_at(end) and not _others_alike(
                    passes, (another, batch), (changed, together), place
                )
    return False


def _alone_alike(passes: _Passes, rows: Rows, together: Tensor) -> bool:
    """Whether the loss of a record in a batch is its loss alone."""

    def again() -> Measured:
        wide = passes(rows, wide=True)
        return wide, torch.cat([passes(record, wide=True) for record in singly(rows)]), wide

    alone = torch.cat([passes(record) for record in singly(rows)])
    return agree(together, alone, together, eps=rounding_unit(passes.job, rows), again=again)


def _others_alike(passes: _Passes, batches: tuple[Rows, Rows], losses: tuple[Tensor, Tensor], place: int) -> bool:
    """Whether the losses of all records but one are the same in two batches that differ in that record."""
    records = len(batches[0][0])
    others = torch.arange(records, device=batches[0][0].device) != place

    def measured(*losses: Tensor) -> Measured:
        tried, truth = (part.unflatten(0, (records, passes.job.views))[others] for part in losses)
        return tried, truth, truth

    def again() -> Measured:
        return measured(*(passes(rows, wide=True) for rows in batches))

    return agree(*measured(*losses), eps=rounding_unit(passes.job, batches[0]), again=again)


def _require_unchanged_state(job: Job, rows: Rows) -> None:
    """Refuse passes that change parameters and buffers: normalisers, queues, layers that set their weights by the first batch."""
    before = {name: value.clone() for name, value in model_state(job.model).items()}
    with torch.enable_grad(), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        losses = job.losses(rows)
    recomputed = any(type(node).__name__ == _REENTRANT_NODE for node in nodes_behind(losses))
    if recomputed or any(_TRAINS_NOTHING in str(warning.message) for warning in warned):
        raise UnsupportedModule(
            "torch.utils.checkpoint with use_reentrant=True hides layers, whose parameters would get noise alone; call it with "
            "use_reentrant=False"
        )
    after = model_state(job.model)
    changed = [
        f"{name}: the forward pass changes it, so that it keeps what records leave in it"
        for name, value in before.items()
        if name not in after or not same(after[name], value)
    ]
    if changed:
        raise mixed_records(changed)


def _require_own_gradients(job: Job, rows: Rows) -> None:
    """Refuse losses with a derivative by the inputs of another record."""
    leaves = [part.detach().clone().requires_grad_() if part.is_floating_point() else part for part in rows]
    inputs = [part for part in leaves if part.is_floating_point()]
    if not inputs:
        return
    with torch.enable_grad():
        losses = job.losses(tuple(part.clone() if part.is_floating_point() else part for part in leaves))
        if not losses.requires_grad:
            return
        for index, loss in enumerate(losses.unflatten(0, (-1, job.views)).sum(1)):
            try:
                gradients = torch.autograd.grad(loss, inputs, retain_graph=True, allow_unused=True)
            except RuntimeError:
                return  # an operation has no derivative by its input; the losses' values are compared still
            for gradient in gradients:
                if gradient is not None:
                    others = gradient.nan_to_num(0.0)  # NaN comes from a broken record, not from mixing
                    others[index] = 0.0
                    if bool(others.any()):
                        raise mixed_records(["inputs: the loss of one record depends on the inputs of another"])
