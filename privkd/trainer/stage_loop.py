"""The steps of one stage: losses, gradients, guards, averages, and what is reported on the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from privkd.errors import NonFiniteLoss, TaskError
from privkd.trainer.batch import Batch
from privkd.trainer.batches.arrays import Batches
from privkd.trainer.devices.engine import Engine
from privkd.trainer.gradient_source import GradientRun
from privkd.trainer.guards import MISFITS, misfit
from privkd.trainer.history import Row
from privkd.trainer.task import Context, Losses, Task, Update

__all__ = ["RESERVED", "Loop"]

RESERVED = frozenset({"stage", "step", "epoch"})
"""Columns of every history; they say nothing about the data."""

_LOOK = 10  # steps between looks at all gradients; a bad one in between shows in the next loss


class Loop:
    """One stage of a run, step by step.

    Args:
        task: what is learned; placed already.
        batches: of any step.
        engine: where it happens.
        steps: of the stage.
        stretch: steps between two reports.
        seed: of the random numbers that the task may draw.
        accumulate: parts that a batch is computed in.
        clip_norm: largest norm of one optimiser's gradients, or None.
        averages: the modules that `task.averages` follow, without wrappers.
        is_private: whether errors keep quiet about the rows.
        gradients: of a private run; None for those of the mean losses.
        report: takes rows.
        checkpoint: called where one is due; None for never.
        checkpoint_every: steps; None for with every report.
    """

    def __init__(
        self,
        task: Task,
        batches: Batches,
        engine: Engine,
        *,
        steps: int,
        stretch: int,
        generator: torch.Generator,
        accumulate: int,
        clip_norm: float | None,
        averages: Mapping[str, nn.Module],
        is_private: bool,
        gradients: GradientRun | None,
        report: Callable[[Row], None],
        checkpoint: Callable[[], None] | None,
        checkpoint_every: int | None,
    ) -> None:
        self.task, self.batches, self.engine, self.steps = task, batches, engine, steps
        self._stretch, self._accumulate, self._clip_norm = stretch, accumulate, clip_norm
        self._is_private, self._gradients = is_private, gradients
        self._averages, self._report, self._checkpoint = averages, report, checkpoint
        self._every = checkpoint_every or stretch
        self.context = Context(0, 0, steps, engine.device, generator, gather=engine.gather)
        self._totals: dict[str, Tensor | float] = {}
        self._losses: set[str] = set()
        self._counts: dict[str, float] = {}
        self._all = tuple(task.optimizers)
        self._on_cpu = engine.device.type == "cpu"

    @property
    def step(self) -> int:
        """Steps done."""
        return self.context.step

    def advance(self) -> None:
        """One optimiser step, with all that is due around it.

        Raises:
            NonFiniteLoss: a loss or a gradient is not finite; nothing was changed by this step.
            TaskError: the first batch does not fit the task.
        """
        context, task, per_epoch = self.context, self.task, self.batches.steps_per_epoch
        if context.step % per_epoch == 0:
            task.on_epoch_start(context)
        if context.step == 0:
            self._first_step()
        else:
            self._one_step()
        for scheduler in task.schedulers:
            scheduler.step()
        if task.averages:
            self._follow_averages()
        context.step += 1
        done, is_last = context.step, context.step == self.steps
        figures: Mapping[str, float] = {}
        if done % per_epoch == 0 or is_last:
            task.on_epoch_end(context)
            figures = self._validated()
            context.epoch = done // per_epoch
        due = done % self._stretch == 0 or is_last
        if due or ((done % per_epoch == 0) and self.engine.any(bool(figures))):
            self._report(self._row(figures))
        if self._checkpoint is not None and done % self._every == 0 and not is_last:
            self._checkpoint()

    def refuse_broken(self) -> None:
        """A checkpoint of weights that are not finite would replace a good one.

        Raises:
            NonFiniteLoss: a parameter is not finite; it is named.
        """
        broken = self._not_finite(lambda p: p)
        if broken:
            raise NonFiniteLoss(
                f"{broken} is not finite after step {self.context.step}: its gradient was not; look for a root or a log at 0, or "
                "lower the learning rate. Checkpoints written before are good"
            )

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {
            "step": self.context.step,
            "epoch": self.context.epoch,
            "generator": None if self._gradients is not None else self.context.generator.get_state(),
            "totals": {name: float(value) for name, value in self._totals.items()},
            "counts": dict(self._counts),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.context.step, self.context.epoch = state["step"], state["epoch"]
        if state["generator"] is not None:
            self.context.generator.set_state(state["generator"])
        self._totals, self._counts = dict(state["totals"]), dict(state["counts"])

    def _parameters(self, name: str) -> list[Tensor]:
        """Of an optimiser, as its groups are now."""
        return [p for group in self.task.optimizers[name].param_groups for p in group["params"]]

    def _first_step(self) -> None:
        """A batch that does not fit is told in terms of the batch, before any weight has changed."""
        batch, told = self.batches.at(0), None
        try:
            self._one_step()
        except MISFITS as error:
            told = misfit(error, self.task, batch, is_private=self._is_private)
            if told is None:
                raise
            if not self._is_private:
                raise told from error
        if told is not None:  # outside of the handler, so that the error does not carry what it keeps quiet about
            raise told

    def _one_step(self) -> None:
        batch = self.batches.at(self.context.step)
        if self._gradients is not None:
            self._private_step(batch, self._gradients)
            return
        parts = [batch] if self._accumulate == 1 else list(_parts(batch, self._accumulate))
        with self.engine.autocast():
            first = self.task.step(parts[0], self.context)
        if isinstance(first, Mapping):
            self._update([Update(first, self._all)], parts[1:])
        elif isinstance(first, Iterator):
            games, moved = [first, *(self._game(part) for part in parts[1:])], False
            while (moves := self._moves(games)) is not None:
                self._update(moves, [])
                moved = True
            if not moved:
                raise TaskError(f"{type(self.task).__name__}.step gave no update; yield at least one")
        else:
            raise TaskError(
                f"{type(self.task).__name__}.step gave {_kind(first)}; return named losses, for example {{'loss': loss}}, or yield "
                "updates"
            )
        self._collect_logs()

    def _collect_logs(self) -> None:
        """Logs of all parts of a batch, each with its share."""
        for name, values in self.context.logs.items():
            if name in self._losses:
                raise TaskError(f"log {name!r} has the name of a loss, and one column cannot hold both; rename it")
            for value in values:
                if isinstance(value, Tensor) and value.numel() != 1:
                    raise TaskError(f"log {name!r} is {_kind(value)}; give a number, for example its mean")
                share = 1.0 / len(values)
                self._add(name, share * (value.reshape(()) if isinstance(value, Tensor) else value), weight=share)
        self.context.logs = {}

    def _private_step(self, batch: Batch, gradients: GradientRun) -> None:
        self.context.logs = {}
        for optimizer in self.task.optimizers.values():
            optimizer.zero_grad()
        with self.engine.autocast():
            losses = gradients.fill(batch, self.context)
        for name, optimizer in self.task.optimizers.items():
            self.engine.step(optimizer, self._parameters(name), None)
        if not self._is_private:
            for name, value in losses.items():
                self._add(name, value)

    def _game(self, part: Batch) -> Iterator[Update]:
        game = self.task.step(part, self.context)
        if isinstance(game, Mapping):
            raise TaskError(
                f"{type(self.task).__name__}.step gave updates for one part of a batch and losses for another"
            )
        return game

    def _moves(self, games: list[Iterator[Update]]) -> list[Update] | None:
        """The next update of every part's game; None when they are over."""
        with self.engine.autocast():
            moves = [next(game, None) for game in games]
        for move in moves:
            if move is not None and not isinstance(move, Update):
                raise TaskError(
                    f"{type(self.task).__name__}.step yielded {_kind(move)}; yield Update(losses, optimizers)"
                )
            unknown = [] if move is None else sorted(set(move.optimizers) - set(self.task.optimizers))
            if unknown:
                raise TaskError(
                    f"an update names the optimisers {unknown}; the task has {sorted(self.task.optimizers)}"
                )
        made = [move for move in moves if move is not None]
        if made and len(made) < len(games):
            raise TaskError(f"{type(self.task).__name__}.step gave different numbers of updates for parts of one batch")
        return made or None

    def _update(self, moves: list[Update], rest: list[Batch]) -> None:
        """Gradients of all parts, then one step of the optimisers of the update; `rest` are parts still to be computed."""
        names = moves[0].optimizers
        is_game = names != self._all
        parameters = [p for name in names for p in self._parameters(name) if p.requires_grad] if is_game else None
        for name in names:
            self.task.optimizers[name].zero_grad()
        parts = len(moves) + len(rest)
        for move in moves:
            self._backward(move.losses, parts, parameters)
        for part in rest:
            with self.engine.autocast():
                losses = self.task.step(part, self.context)
            if not isinstance(losses, Mapping):
                raise TaskError(
                    f"{type(self.task).__name__}.step gave losses for one part of a batch and updates for another"
                )
            self._backward(losses, parts, parameters)
        for name in names:
            self._step(name)

    def _backward(self, losses: Losses, parts: int, parameters: list[Tensor] | None) -> None:
        if not losses:
            raise TaskError(f"{type(self.task).__name__}.step gave no loss; return at least one named scalar")
        for name, loss in losses.items():
            if not isinstance(loss, Tensor) or loss.dim() != 0:
                raise TaskError(f"loss {name!r} is {_kind(loss)}; a scalar tensor is needed, for example its mean")
        values = list(losses.values())
        total = values[0] if len(values) == 1 else torch.stack(values).sum()
        if self._on_cpu:
            seen = [value.item() for value in values]
            if not math.isfinite(sum(seen)):
                self._refuse(losses)
        else:  # reading one number would make the accelerator wait
            seen = [value.detach() for value in values]
        self.engine.backward(total / parts if parts > 1 else total, parameters)
        self._losses.update(losses)
        for name, value in zip(losses, seen, strict=True):
            self._add(name, value / parts if parts > 1 else value, weight=1.0 / parts)

    def _step(self, name: str) -> None:
        parameters = self._parameters(name)
        if self.context.step % _LOOK == 0 and self.engine.checks_gradients:
            bad = self._not_finite(lambda p: p.grad)
            if bad:
                raise NonFiniteLoss(
                    f"the gradient of {bad} is not finite at step {self.context.step + 1}, although every loss is; this update was "
                    "not made: look for a root or a log at 0, or clip what goes into an exponential"
                )
        if self._clip_norm is not None and any(p.grad is not None and p.grad.is_sparse for p in parameters):
            raise TaskError(
                f"clip_norm={self._clip_norm!r} needs the norm of gradients that are sparse, which torch does not compute; make "
                "tables with sparse=False, or train without clip_norm"
            )
        self.engine.step(self.task.optimizers[name], parameters, self._clip_norm)

    def _not_finite(self, tensor_of: Callable[[Tensor], Tensor | None]) -> str:
        """The name of the first parameter or buffer of which something is not finite; empty if there is none."""
        for module_name, module in self._averages.items():
            for name, value in (*module.named_parameters(), *module.named_buffers()):
                tensor = tensor_of(value)
                if tensor is not None and not _is_finite(tensor.detach()):
                    return f"{module_name}.{name}"
        return ""

    def _refuse(self, losses: Losses) -> None:
        bad = [name for name, loss in losses.items() if not math.isfinite(float(loss.detach()))]
        broken = self._not_finite(lambda p: p)
        cause = (
            f"{broken} is not finite since the step before: its gradient was not; "
            if broken
            else "this update was not made; "
        )
        raise NonFiniteLoss(
            f"loss term {', '.join(bad) or 'sum'} is not finite at step {self.context.step + 1}; {cause}lower the learning rate, "
            "or check the range of the inputs"
        )

    def _add(self, name: str, value: Tensor | float, weight: float = 1.0) -> None:
        """Count a value with a weight; of private rows nothing is even summed, since sums are part of checkpoints."""
        if name in RESERVED:
            raise TaskError(f"{name!r} is a column of every history; give the loss or log another name")
        if self._is_private:
            return
        self._totals[name] = self._totals.get(name, 0.0) + value
        self._counts[name] = self._counts.get(name, 0.0) + weight

    def _row(self, figures: Mapping[str, float]) -> Row:
        totals = {name: (float(total), self._counts[name]) for name, total in self._totals.items()}
        self._totals, self._counts = {}, {}
        means = _merged(self.engine.gathered(totals))
        if not self._on_cpu and not all(math.isfinite(value) for value in means.values()):
            bad = ", ".join(name for name, value in means.items() if not math.isfinite(value))
            raise NonFiniteLoss(
                f"loss term {bad} was not finite in one of the steps up to {self.context.step}; lower the learning rate, or check "
                "the range of the inputs. Checkpoints written before are good"
            )
        shown = _merged(self.engine.gathered({name: (float(value), 1.0) for name, value in figures.items()}))
        twice = sorted((set(shown) & set(means)) | (set(shown) & RESERVED))
        if twice:
            raise TaskError(
                f"figures {twice} of validate have names of losses, logs or columns of every history; rename them"
            )
        return {"step": float(self.context.step), **means, **shown}

    @torch.no_grad()
    def _follow_averages(self) -> None:
        for name, average in self.task.averages.items():
            decay, module = self.task.averaged[name], self._averages[name]
            mine, theirs = average.state_dict(), module.state_dict()
            for key, value in {
                value.data_ptr(): (key, value) for key, value in mine.items() if _is_tensor(value)
            }.values():
                if value.is_floating_point() or value.is_complex():
                    value.lerp_(theirs[key], 1.0 - decay)
                else:
                    value.copy_(theirs[key])

    def _validated(self) -> Mapping[str, float]:
        if self._is_private or type(self.task).validate is Task.validate:
            return {}
        with self.task.evaluating():
            figures = self.task.validate(self.context)
        if not isinstance(figures, Mapping):
            raise TaskError(f"{type(self.task).__name__}.validate gave {_kind(figures)}; return named numbers, or {{}}")
        return figures


def _parts(batch: Batch, count: int) -> Iterator[Batch]:
    rows = len(batch.index)
    if rows % count:
        raise TaskError(
            f"accumulate={count} does not divide the {rows} rows of a batch; choose a batch size that it divides"
        )
    for place in range(count):
        rows_here = slice(place * rows // count, (place + 1) * rows // count)
        yield Batch(
            batch.index[rows_here],
            tuple(tensor[rows_here] for tensor in batch.tensors),
            {name: part for name, one in batch.beside.items() for part in [list(_parts(one, count))[place]]},
        )


def _merged(parts: Sequence[Mapping[str, tuple[float, float]]]) -> dict[str, float]:
    """Means by name over processes, of which each gives sums and counts of its own."""
    names = dict.fromkeys(name for part in parts for name in part)
    found = {name: [part[name] for part in parts if name in part] for name in names}
    return {name: math.fsum(v for v, _ in pairs) / math.fsum(n for _, n in pairs) for name, pairs in found.items()}


def _is_finite(tensor: Tensor) -> bool:
    """Also of a sparse gradient, whose other values are zeros."""
    dense = tensor.coalesce().values() if tensor.layout is torch.sparse_coo else tensor
    return bool(torch.isfinite(dense).all())


def _is_tensor(value: object) -> bool:
    return isinstance(value, Tensor)


def _kind(value: object) -> str:
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
