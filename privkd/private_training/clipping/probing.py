"""Checks on a few records of a first batch: records do not mix, and a fast strategy agrees with the loop.

A model may be written in ways that no list of layers can foresee: sequence first instead of batch first, a batch mean in
the loss, statistics in buffers or attributes. So every new shape and memory layout of rows is tried on up to three
records before it is trusted, and again from time to time. What is compared is compared by `agree`: a difference ends a run
only if float64 shows it, too.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import cache, partial

import torch
from torch import Tensor, nn

from privkd.errors import UnsupportedModule
from privkd.private_training.clipping.agreement import Measured, agree, alike, in_float64
from privkd.private_training.clipping.clipped_sum import ClippedSum, full_precision
from privkd.private_training.clipping.ghost import mixing_sites
from privkd.private_training.clipping.job import Job, NotCovered, Rows
from privkd.private_training.clipping.loop import loop
from privkd.private_training.clipping.probes import exchanged, magnified, singly, unlike, without
from privkd.private_training.clipping.replay import Attributes, Replay, without_dropout
from privkd.private_training.clipping.rules import Flat
from privkd.private_training.clipping.static_checks import mixed_records

__all__ = ["check_records_are_separate", "check_strategy", "exact", "layout_of", "quiet"]

_TOGETHER = ("ghost", "opacus")  # strategies that compute all records in one pass
_BLIND = "None of the inputs have requires_grad=True"  # what torch.utils.checkpoint says where it trains nothing
_COINS = 16  # passes in which random decisions must fall alike to be taken for none
_NEVER = 1e30  # a bound that clips nothing


def layout_of(job: Job, rows: Rows) -> tuple[object, ...]:
    """What decides whether a check has to be repeated: shapes, dtypes and memory layouts of rows, modes, trained names."""
    shapes = tuple((part.shape[1:], part.dtype, _order(part), part.is_contiguous()) for part in rows)
    modes = tuple(module.training for module in job.model.modules())
    half = torch.is_autocast_enabled(rows[0].device.type)
    return shapes, modes, half, tuple(job.trained())


def _order(part: Tensor) -> tuple[int, ...]:
    return tuple(sorted(range(part.dim()), key=lambda axis: -part.stride(axis)))


def check_records_are_separate(job: Job, rows: Rows, batch: Rows) -> bool:
    """Check that no record's loss depends on another record, and that passes leave no trace in the model.

    Random losses are made to draw the same numbers again.

    Args:
        job: what to clip.
        rows: up to three records.
        batch: all of them, or as many as are computed at once.

    Returns:
        Whether the losses are the same with other random numbers once dropout is off.

    Raises:
        MixedRecordsError: they do, with all that was found.
        UnsupportedModule: a part of the model is recomputed in a way that hides its parameters.
    """
    kept = Attributes(job.model, job.keepers)
    found = _changed_state(job, rows)
    if not found and len(rows[0]) > 1:
        found = _mixing_gradients(job, rows)
    steady = not found and _influences(job, rows, found, kept)  # as it is trained
    if not found and len(batch[0]) > 1:
        _influences_of_one(job, batch, found, kept)
    if not found and not steady:
        with without_dropout(job.model):
            steady = _influences(job, rows, found, kept)
    if found:
        raise mixed_records(found)
    return steady


class _Passes:
    """Passes that draw the same random numbers and begin with the same attributes."""

    def __init__(self, job: Job, kept: Attributes) -> None:
        self.replay, self._job, self._wide, self._kept = Replay(job.generators), job, in_float64(job), kept

    def __call__(self, rows: Rows, *, wide: bool = False, start: Replay | None = None, afresh: bool = True) -> Tensor:
        """Losses of the rows.

        Args:
            rows: of a few records.
            wide: in float64.
            start: where the generators begin; None for the place of all passes.
            afresh: whether attributes are put back before.
        """
        if afresh:
            self._kept.put_back()
        (start or self.replay).rewind()
        return (self._wide if wide else self._job).losses(rows).detach()

    def after(self, others: Sequence[Rows], rows: Rows, *, wide: bool = False) -> Tensor:
        """Losses of the rows behind passes over other ones, whose traces are left."""
        self._kept.put_back()
        for one in others:
            with suppress(Exception):  # losses may refuse numbers that are out of range
                self(one, wide=wide, afresh=False)
        return self(rows, wide=wide, afresh=False)


def _influences(job: Job, rows: Rows, found: list[str], kept: Attributes) -> bool:
    """Add ways in which losses depend on earlier passes or on other records; whether they are without random numbers."""
    eps, passed = _eps(job, rows), _Passes(job, kept)
    with torch.enable_grad():  # with gradients, as some layers take other ways without
        together = passed(rows)
        end = passed.replay.position()
        drew, drew_from_python = passed.replay.drawn()
        steady = not drew
        for _ in range(_COINS if drew_from_python else 1):  # type checkers draw from it, too: only values tell
            if steady:
                here = Replay(job.generators)
                further = lambda here=here: (passed(rows, wide=True, start=here), passed(rows, wide=True))  # noqa: E731
                steady = alike(passed(rows, start=here), together, again=further)
        others = (magnified(rows), without(rows, 0))
        later = lambda: (passed.after(others, rows, wide=True), passed(rows, wide=True))  # noqa: E731
        if not alike(passed.after(others, rows), together, again=later):
            found.append(
                "losses: they depend on earlier passes, or draw from a generator of their own; keep nothing of records, count "
                "steps with context.step, and draw from context.generator or the global generators"
            )
            return False
        if len(rows[0]) == 1:
            return steady
        if steady and not _alone_alike(passed, rows, together, eps):
            found.append("losses: the loss of a record in a batch is not its loss alone")
        for place, other in ((len(rows[0]) - 1, 0), (0, len(rows[0]) - 1)):
            another = exchanged(rows, place, other)
            changed = passed(another)
            if passed.replay.is_at(end) and not _others_alike(job, passed, (another, rows), (changed, together), place):
                found.append("losses: the loss of a record changes with another record")
                return False
    return steady


def _influences_of_one(job: Job, batch: Rows, found: list[str], kept: Attributes) -> None:
    """Add whether the losses of a whole batch change when one record does, and becomes very large.

    Rules that compare a record with many others (outliers, capacities, quantiles) show nothing among three.
    """
    place, passed = len(batch[0]) // 2, _Passes(job, kept)
    with torch.enable_grad():
        together = passed(batch)
        end = passed.replay.position()
        other = unlike(batch, [place], place - 1)
        for another in (exchanged(batch, place, other, magnified), exchanged(batch, place, other)):
            with suppress(Exception):  # a loss may refuse the first: the second is tried
                changed = passed(another)
                if passed.replay.is_at(end) and not _others_alike(
                    job, passed, (another, batch), (changed, together), place
                ):
                    found.append("losses: the loss of a record changes with another record of its batch")
                return


def _alone_alike(passed: _Passes, rows: Rows, together: Tensor, eps: float) -> bool:
    """Whether the loss of a record in a batch is its loss alone."""

    def again() -> Measured:
        wide = passed(rows, wide=True)
        return wide, torch.cat([passed(one, wide=True) for one in singly(rows)]), wide

    alone = torch.cat([passed(one) for one in singly(rows)])
    return agree(together, alone, together, eps=eps, again=again)


def _others_alike(
    job: Job, passed: _Passes, batches: tuple[Rows, Rows], losses: tuple[Tensor, Tensor], place: int
) -> bool:
    """Whether the losses of all records but one are the same in two batches that differ in that record."""
    records = len(batches[0][0])
    others = torch.arange(records, device=batches[0][0].device) != place

    def measured(changed: Tensor, before: Tensor) -> Measured:
        tried, truth = (one.unflatten(0, (records, job.views))[others] for one in (changed, before))
        return tried, truth, truth

    def again() -> Measured:
        return measured(*(passed(rows, wide=True) for rows in batches))

    return agree(*measured(*losses), eps=_eps(job, batches[0]), again=again)


def check_strategy(job: Job, rows: Rows, strategy: Callable[[Job, Rows], ClippedSum], name: str, steady: bool) -> bool:
    """Check that a strategy finds the norms and gradients that the loop finds, without dropout.

    For ghost clipping it is also checked that each record has rows of its own in every layer.

    Args:
        job: what to clip.
        rows: up to three records.
        strategy: the function to check.
        name: its name.
        steady: whether losses are without random numbers; if not, strategies that compute records together cannot be compared,
            and the others are compared record by record, where they draw what the loop draws.

    Returns:
        Whether any record was finite, so that there was something to compare.

    Raises:
        NotCovered: it does not; the message says what differs.
    """
    if name in _TOGETHER and not steady:
        raise NotCovered(
            "the loss draws random numbers, so that gradients of records together and alone cannot be compared"
        )
    if name == "ghost":
        mixing = mixing_sites(job, rows)
        if mixing:
            raise NotCovered(f"dimension 0 is not the records in {', '.join(mixing)}")
    unclipped = replace(job, rule=Flat(_NEVER))
    with without_dropout(job.model):
        compared = [_compared(unclipped, part, strategy) for part in ([rows] if steady else singly(rows))]
    return any(compared)


def _compared(job: Job, rows: Rows, strategy: Callable[[Job, Rows], ClippedSum]) -> bool:
    """Whether any record was finite, if a strategy finds what the loop finds with the same random numbers."""
    eps, replay = _eps(job, rows), Replay(job.generators)

    def both(job: Job) -> tuple[ClippedSum, ClippedSum]:
        replay.rewind()
        truth = loop(job, rows)
        replay.rewind()
        return strategy(job, rows), truth

    tried, truth = both(job)
    repeated = cache(lambda: both(in_float64(job)))

    def norms(tried: ClippedSum, truth: ClippedSum) -> Measured:
        return tried.norms, truth.norms, truth.norms

    def gradients(tried: ClippedSum, truth: ClippedSum, key: str) -> Measured:
        return tried.gradients[key], truth.gradients[key], truth.norms

    if not agree(*norms(tried, truth), eps=eps, again=lambda: norms(*repeated())):
        raise NotCovered("gradient norms differ from the loop's")
    for key in truth.gradients:
        again = partial(lambda key: gradients(*repeated(), key), key)
        if not agree(*gradients(tried, truth, key), eps=eps, again=again):
            raise NotCovered(f"the gradient of {key} differs from the loop's")
    return bool(truth.norms.isfinite().any())


@contextmanager
def quiet(job: Job) -> Iterator[None]:
    """Leave random generators, parameters, buffers and attributes as they were, whatever runs inside."""
    replay, kept = Replay(job.generators), Attributes(job.model, job.keepers)
    state = [(value, value.clone()) for value in _state(job.model).values()]
    try:
        yield
    finally:
        kept.put_back()
        replay.rewind()
        with torch.no_grad():
            for held, value in state:
                if not _same(held, value):
                    held.copy_(value)


def _changed_state(job: Job, rows: Rows) -> list[str]:
    """Parameters and buffers that a pass changes: normalisers, queues, layers that set their weights by the first batch."""
    before = {name: value.clone() for name, value in _state(job.model).items()}
    with torch.enable_grad(), warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        losses = job.losses(rows)
    if any(_BLIND in str(one.message) for one in told) or _has_node(losses, "CheckpointFunctionBackward"):
        raise UnsupportedModule(
            "torch.utils.checkpoint with use_reentrant=True hides layers, whose parameters would get noise alone; call it with "
            "use_reentrant=False"
        )
    after = _state(job.model)
    return [
        f"{name}: the forward pass changes it, so that it keeps what records leave in it"
        for name, value in before.items()
        if name not in after or not _same(after[name], value)
    ]


def _has_node(losses: Tensor, name: str) -> bool:
    """Whether an operation of this name is in the graph behind the losses."""
    waiting, done = [losses.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is not None and node not in done:
            if type(node).__name__ == name:
                return True
            done.add(node)
            waiting += [following for following, _ in node.next_functions]
    return False


def _state(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in (*model.named_parameters(), *model.named_buffers())}


def _same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and bool(((one == other) | ((one != one) & (other != other))).all())


def _mixing_gradients(job: Job, rows: Rows) -> list[str]:
    """Inputs through which one record's loss depends on another record."""
    leaves = [part.detach().clone().requires_grad_() if part.is_floating_point() else part for part in rows]
    inputs = [part for part in leaves if part.is_floating_point()]
    if not inputs:
        return []
    with torch.enable_grad():
        losses = job.losses(tuple(part.clone() if part.is_floating_point() else part for part in leaves))
        if not losses.requires_grad:
            return []
        for index, loss in enumerate(losses.unflatten(0, (-1, job.views)).sum(1)):
            try:
                gradients = torch.autograd.grad(loss, inputs, retain_graph=True, allow_unused=True)
            except (
                RuntimeError
            ):  # an operation that has no derivative by its input; the losses' values are compared still
                return []
            for gradient in gradients:
                if gradient is None:
                    continue
                others = gradient.nan_to_num(0.0)  # NaN comes from a broken record, not from mixing
                others[index] = 0.0
                if bool(others.any()):
                    return ["inputs: the loss of one record depends on the inputs of another"]
    return []


def _eps(job: Job, rows: Rows) -> float:
    """Rounding unit of the coarsest number that takes part."""
    dtypes = {value.dtype for value in (*rows, *job.model.parameters()) if value.is_floating_point()}
    device = next(job.model.parameters()).device.type
    if torch.is_autocast_enabled(device):
        dtypes.add(torch.get_autocast_dtype(device))
    return max(torch.finfo(dtype).eps for dtype in dtypes)


@contextmanager
def exact(job: Job, rows: Rows) -> Iterator[None]:
    """Autocast off, where parameters and inputs allow it: a check of structure shall not drown in rounding."""
    values = (*rows, *job.model.parameters())
    half = any(value.is_floating_point() and value.dtype.itemsize < 4 for value in values)
    with nullcontext() if half else full_precision(next(job.model.parameters())):
        yield
