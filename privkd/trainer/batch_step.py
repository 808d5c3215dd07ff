"""One optimiser step on one batch: losses, gradients of all its parts, and the updates that they make."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from privkd.errors import TaskError
from privkd.trainer.batch import Batch, parts_of
from privkd.trainer.gradient_source import GradientRun
from privkd.trainer.guards import refuse_losses, require_finite_gradients
from privkd.trainer.means import RunningMeans
from privkd.trainer.stage_setup import StageSetup
from privkd.trainer.task import Losses, Update, overrides

_CHECK_EVERY = 10  # steps between two checks of all gradients; a bad one in between shows in the next loss


class BatchStep:
    """Optimiser steps of a stage, each on one batch: along mean losses of all its parts, or along private gradients.

    Args:
        setup: of the stage.
        means: what losses and logs are added to.
    """

    def __init__(self, setup: StageSetup, means: RunningMeans) -> None:
        self._task, self._modules, self._context = setup.task, setup.modules, setup.context
        self._engine, self._gradients, self._means = setup.engine, setup.gradients, means
        self._accumulate, self._clip_norm = setup.settings.accumulate, setup.settings.clip_norm
        self._on_cpu = setup.engine.device.type == "cpu"
        self._all = tuple(setup.task.optimizers)
        self._has_hook = overrides(setup.task, "before_step")
        self._loss_names: set[str] = set()

    def take(self, batch: Batch) -> None:
        """Update the modules once with a batch, or as often as the task's generator says.

        Raises:
            NonFiniteLoss: a loss or a gradient is not finite; nothing was changed by this update.
            TaskError: the task gave something else than losses or updates.
        """
        if self._gradients is not None:
            self._take_privately(batch, self._gradients)
            return
        parts = [batch] if self._accumulate == 1 else parts_of(batch, self._accumulate)
        with self._engine.autocast():
            first = self._task.step(parts[0], self._context)
        if isinstance(first, Mapping):
            self._update(self._all, [first], parts[1:])
        elif isinstance(first, Iterator):
            self._play([first, *(self._game(part) for part in parts[1:])])
        else:
            raise TaskError(
                f"{self._name}.step gave {kind_of(first)}; return named losses, for example {{'loss': loss}}, or yield "
                "updates"
            )
        if self._context.logs:
            self._collect_logs()

    def _take_privately(self, batch: Batch, gradients: GradientRun) -> None:
        """No gradient is checked and no log is kept, because nothing but the noisy sum may depend on the rows."""
        self._context.logs = {}
        for optimizer in self._task.optimizers.values():
            optimizer.zero_grad()
        with self._engine.autocast():
            losses = gradients.fill(batch, self._context)
        for name, optimizer in self._task.optimizers.items():
            self._engine.step(optimizer, self._parameters(name), None)
        if not self._means.is_quiet:
            for name, value in losses.items():
                self._means.add(name, value)

    @property
    def _name(self) -> str:
        return type(self._task).__name__

    def _game(self, part: Batch) -> Iterator[Update]:
        game = self._task.step(part, self._context)
        if isinstance(game, Mapping):
            raise TaskError(f"{self._name}.step gave updates for one part of a batch and losses for another")
        return game

    def _play(self, games: list[Iterator[Update]]) -> None:
        """All updates of the parts' games, which go on in step."""
        updates = self._next_updates(games)
        if not updates:
            raise TaskError(f"{self._name}.step gave no update; yield at least one")
        while updates:
            self._update(updates[0].optimizers, [update.losses for update in updates], [])
            updates = self._next_updates(games)

    def _next_updates(self, games: list[Iterator[Update]]) -> list[Update]:
        """The next update of every part's game; none when they are over."""
        with self._engine.autocast():
            updates = [next(game, None) for game in games]
        for update in updates:
            if update is not None and not isinstance(update, Update):
                raise TaskError(f"{self._name}.step yielded {kind_of(update)}; yield Update(losses, optimizers)")
            unknown = [] if update is None else sorted(set(update.optimizers) - set(self._task.optimizers))
            if unknown:
                raise TaskError(
                    f"an update names the optimisers {unknown}; the task has {sorted(self._task.optimizers)}"
                )
        made = [update for update in updates if update is not None]
        if made and len(made) < len(games):
            raise TaskError(f"{self._name}.step gave different numbers of updates for parts of one batch")
        return made

    def _update(self, names: tuple[str, ...], made: list[Losses], rest: list[Batch]) -> None:
        """Gradients of all parts, then one step of the optimisers of these names.

        Args:
            names: of the optimisers that step.
            made: losses of the parts that are computed already.
            rest: parts still to be computed.
        """
        is_game = names != self._all
        parameters = [p for name in names for p in self._parameters(name) if p.requires_grad] if is_game else None
        optimizers = self._task.optimizers
        for name in names:
            optimizers[name].zero_grad()
        count = len(made) + len(rest)
        for losses in made:
            self._backward(losses, count, parameters)
        for part in rest:  # one after another: a part's graph is gone before the next one is made
            with self._engine.autocast():
                losses = self._task.step(part, self._context)
            if not isinstance(losses, Mapping):
                raise TaskError(f"{self._name}.step gave losses for one part of a batch and updates for another")
            self._backward(losses, count, parameters)
        if self._has_hook or self._clip_norm is not None:
            self._prepare(names)
        if self._context.step % _CHECK_EVERY == 0 and self._engine.checks_gradients:
            used = [p for name in names for p in self._parameters(name)]
            require_finite_gradients(self._modules, used, self._context.step + 1)
        for name in names:
            clipped = () if self._clip_norm is None else self._parameters(name)
            self._engine.step(optimizers[name], clipped, self._clip_norm)

    def _prepare(self, names: tuple[str, ...]) -> None:
        """Gradients in their true size, for the task's hook and for the limit on their norm."""
        for name in names:
            self._engine.unscale(self._task.optimizers[name])
        if self._has_hook:
            with torch.no_grad():
                self._task.before_step(names, self._context)
        if self._clip_norm is None:
            return
        if any(p.grad is not None and p.grad.is_sparse for name in names for p in self._parameters(name)):
            raise TaskError(
                f"clip_norm={self._clip_norm!r} needs the norm of gradients that are sparse, which torch does not compute; make "
                "tables with sparse=False, or train without clip_norm"
            )

    def _backward(self, losses: Losses, count: int, parameters: list[Tensor] | None) -> None:
        """Add the gradients of one of `count` parts to those of the parameters, of all if none are given."""
        if not losses:
            raise TaskError(f"{self._name}.step gave no loss; return at least one named scalar")
        for name, loss in losses.items():
            if not isinstance(loss, Tensor) or loss.dim() != 0:
                raise TaskError(f"loss {name!r} is {kind_of(loss)}; a scalar tensor is needed, for example its mean")
        values = list(losses.values())
        total = values[0] if len(values) == 1 else torch.stack(values).sum()
        if self._on_cpu:
            seen = [value.item() for value in values]
            if not math.isfinite(sum(seen)):
                refuse_losses(losses, self._modules, self._context.step + 1)
        else:  # reading one number would make the accelerator wait
            seen = [value.detach() for value in values]
        self._engine.backward(total / count if count > 1 else total, parameters)
        self._loss_names.update(losses)
        share = 1.0 / count
        for name, value in zip(losses, seen, strict=True):
            self._means.add(name, value / count if count > 1 else value, share)

    def _parameters(self, name: str) -> list[Tensor]:
        """Parameters of an optimiser, as its groups are now."""
        return [p for group in self._task.optimizers[name].param_groups for p in group["params"]]

    def _collect_logs(self) -> None:
        """Add the logs of all parts of a batch, each with its share."""
        for name, values in self._context.logs.items():
            if name in self._loss_names:
                raise TaskError(f"log {name!r} has the name of a loss, and one column cannot hold both; rename it")
            for value in values:
                if isinstance(value, Tensor) and value.numel() != 1:
                    raise TaskError(f"log {name!r} is {kind_of(value)}; give a number, for example its mean")
                share = 1.0 / len(values)
                number = value.reshape(()) if isinstance(value, Tensor) else value
                self._means.add(name, share * number, weight=share)
        self._context.logs = {}


def kind_of(value: object) -> str:
    """What a value is, in a few words for a message."""
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
