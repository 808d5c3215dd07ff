"""What the trainer runs. A task knows its modules, optimisers and losses, and nothing of devices or processes."""

from __future__ import annotations

import copy
from abc import ABC
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from accountants import check
from privkd.errors import TaskError
from privkd.plain import make_plain, plain
from privkd.trainer.batch import Batch
from privkd.trainer.beside import Beside, require_sizes
from privkd.trainer.best import Best
from privkd.trainer.context import Context
from privkd.trainer.memory import RowMemory
from privkd.trainer.schedules import Schedule

if TYPE_CHECKING:
    from torch.optim.lr_scheduler import LRScheduler

    from privkd.trainer.batch import Data
    from privkd.trainer.batches.ordering import Ordering

Losses = dict[str, Tensor]
"""Named scalar losses; the trainer minimises their sum."""


@dataclass(frozen=True, slots=True)
class Update:
    """One move of a game within a step: these losses, then these optimisers.

    Attributes:
        losses: as a plain step returns them.
        optimizers: names of the optimisers that step; only parameters of theirs get gradients.
    """

    losses: Losses
    optimizers: tuple[str, ...]

    def __post_init__(self) -> None:
        if isinstance(self.optimizers, str):
            raise TypeError(
                f"optimizers={self.optimizers!r} is one string; give a tuple of names: ({self.optimizers!r},)"
            )


class Task(ABC):  # noqa: B024 - either of two methods is to be written
    """Something to learn by gradient steps on named losses.

    A subclass writes `per_record` or `step` and, where it needs them, the moments `before_step`, `on_epoch_start`, `on_epoch_end`
    and `validate`, `made_up` for a private run's rehearsal, and `state_dict` and `load_state_dict` for what it remembers beside its
    modules (queues, masks, counters).

    Args:
        modules: the modules to train, by name; the trainer puts them in train mode and moves them to its device. Use
            them as `self.modules[name]`: several processes put a wrapper there.
        optimizers: over the parameters of `modules`, by name; a sequence gets the names "0", "1", ...
        frozen: modules that are used but not trained: in eval mode and without gradients during a run, and proven
            unchanged after it.
        schedulers: step once after every step of the run.
        schedule: what multiplies the rates that the groups of the optimisers were made with, over the steps of a stage; one for
            all of them, or by name of the optimiser. They have these rates again after the run.
        averaged: name of a module -> decay, in (0, 1), of an exponential moving average of its weights, kept in
            `self.averages[name]`.
        memories: what is remembered of every row, by name, as `self.memories[name]`; on the device of the run, the same in all
            processes, and in every checkpoint.

    Raises:
        ValueError: a name is in use twice or unknown, a decay is out of range, an optimiser or a scheduler is of a kind that
            cannot be stepped once per batch, or both schedulers and a schedule are given.
        TypeError: a schedule is no `Schedule`, or a memory is none.
    """

    def __init__(
        self,
        *,
        modules: Mapping[str, nn.Module],
        optimizers: Mapping[str, torch.optim.Optimizer] | Sequence[torch.optim.Optimizer],
        frozen: Mapping[str, nn.Module] | None = None,
        schedulers: Sequence[LRScheduler] = (),
        schedule: Schedule | Mapping[str, Schedule] | None = None,
        averaged: Mapping[str, float] | None = None,
        memories: Mapping[str, RowMemory] | None = None,
    ) -> None:
        self.modules = dict(modules)
        named = isinstance(optimizers, Mapping)
        self.optimizers: dict[str, torch.optim.Optimizer] = (
            dict(optimizers) if named else {str(place): optimizer for place, optimizer in enumerate(optimizers)}
        )
        self.frozen = dict(frozen or {})
        self.schedulers = tuple(schedulers)
        self.averaged = {name: plain(decay) for name, decay in (averaged or {}).items()}
        self.averages: dict[str, nn.Module] = {}
        self.memories = dict(memories or {})
        for name, memory in self.memories.items():
            if not isinstance(memory, RowMemory):
                raise TypeError(f"memories[{name!r}] is {type(memory).__name__}; give a RowMemory")
        if not self.optimizers:
            raise ValueError("optimizers is empty; give at least one, over parameters of the modules")
        for name, optimizer in self.optimizers.items():
            if isinstance(optimizer, torch.optim.LBFGS):
                raise ValueError(
                    f"optimizers[{name!r}] is LBFGS, which asks for its loss again and again; use another one"
                )
        for scheduler in self.schedulers:
            if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
                raise ValueError(
                    "schedulers hold a ReduceLROnPlateau, which wants a figure at every step; call it yourself in on_epoch_end"
                )
        self.schedules = self._scheduled(schedule)
        twice = sorted(set(self.modules) & set(self.frozen))
        if twice:
            raise ValueError(f"modules and frozen share the names {twice}; every module needs a name of its own")
        for name, decay in self.averaged.items():
            if name not in self.modules:
                raise ValueError(f"averaged={name!r} names no module; modules are {sorted(self.modules)}")
            if not 0.0 < decay < 1.0:
                raise ValueError(f"averaged[{name!r}]={decay!r} must be a decay in (0, 1), for example 0.999")

    def _scheduled(self, schedule: Schedule | Mapping[str, Schedule] | None) -> dict[str, Schedule]:
        """Schedules by name of the optimiser, checked."""
        if schedule is None:
            return {}
        if self.schedulers:
            raise ValueError("schedulers and schedule both set learning rates; give one of the two")
        found = dict(schedule) if isinstance(schedule, Mapping) else dict.fromkeys(self.optimizers, schedule)
        unknown = sorted(set(found) - set(self.optimizers))
        if unknown:
            raise ValueError(f"schedule names no optimiser by {unknown}; optimizers are {sorted(self.optimizers)}")
        for name, one in found.items():
            if not isinstance(one, Schedule):
                raise TypeError(
                    f"schedule of {name!r} is {type(one).__name__}; give one of privkd.trainer, for example cosine(warm_up=0.05); "
                    "those of torch go into schedulers"
                )
        return found

    def per_record(self, batch: Batch, context: Context) -> Losses:
        """Losses of every row, shape (b,), none of which depends on another row: what private training needs.

        A task writes this or `step`. The names are those of the history.

        Raises:
            TaskError: the task has no such losses.
        """
        raise TaskError(
            f"{type(self).__name__} has no losses per record: write per_record(batch, context), which returns named tensors of "
            "shape (rows,), for example with reduction='none'"
        )

    def step(self, batch: Batch, context: Context) -> Losses | Iterator[Update]:
        """Losses of one batch for all optimisers at once; by default the means of `per_record`.

        Or, as a generator, one update after another:

        ```python
        def step(self, batch, context):
            yield Update({"discriminator": ...}, ("discriminator",))
            yield Update({"generator": ...}, ("generator",))
        ```
        """
        return {name: loss.mean() for name, loss in self.per_record(batch, context).items()}

    def before_step(self, optimizers: tuple[str, ...], context: Context) -> None:  # noqa: B027
        """Called once per update, when the gradients of all parts of the batch are there and before they are clipped.

        It may change gradients, for example leave some out, or weights, for example take a perturbation of them back. Gradients
        are those of the mean losses, also in half precision; they are checked and clipped afterwards. Not in private runs, whose
        gradients must stay as the mechanism made them.

        Args:
            optimizers: names of those that will step; with one process, parameters of others keep what they have.
            context: of the step. No gradients are recorded: `with torch.enable_grad():` computes further ones.
        """

    def made_up(self, rows: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Rows for the rehearsal of a private run, which comes before its charge; by default those that are given.

        Override it where `per_record` refuses them although it takes the real ones.

        Args:
            rows: of the shapes and dtypes of the data, never of their contents: floating numbers in [0, 1), whole numbers that
                are all 0, or all 1 where zeros are refused.
        """
        return rows

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Modules in eval mode and no gradients within the block, for example to look at all rows between two passes."""
        before = {module: module.training for module in self.modules.values()}
        for module in before:
            module.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            for module, training in before.items():
                module.train(training)

    def on_epoch_start(self, context: Context) -> None:  # noqa: B027 - most tasks need none of the moments
        """Called before the first step of every pass over the data."""

    def rows(self, context: Context) -> Tensor | None:
        """The rows of the pass that begins, chosen anew after every `on_epoch_start`; None for all, as by default.

        A pass has as many steps as one over all rows: chosen rows come in fresh random orders until it is over. All processes
        take the choice of the first one, and checkpoints hold it.

        Returns:
            Positions in the data, int64, shape (m,), m >= 1, where one that is given twice comes twice as often; or a mask of
            truth values, shape (rows,).
        """
        return None

    def on_epoch_end(self, context: Context) -> None:  # noqa: B027
        """Called after the last step of every pass over the data."""

    def validate(self, context: Context) -> Mapping[str, float]:
        """Figures of merit, with all modules in eval mode; none by default. `Stage.validate_every` says how often."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """What the task remembers beside its modules: tensors, numbers, strings, in lists and dicts."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        if state:
            raise ValueError(f"{type(self).__name__} has no state of its own, but the checkpoint has {sorted(state)}")


def overrides(task: Task, method: str) -> bool:
    """Whether a task has a method of its own in place of that of `Task`."""
    return getattr(getattr(task, method), "__func__", None) is not getattr(Task, method)


def average_of(module: nn.Module) -> nn.Module:
    """A copy of a module for the average of its weights, which begins with them and gets no gradients."""
    return copy.deepcopy(module).requires_grad_(False)


@torch.no_grad()
def follow_averages(task: Task, modules: Mapping[str, nn.Module]) -> None:
    """Move every average of a task towards its module by one step.

    Args:
        task: whose `averages` are changed.
        modules: those that are averaged, by name, without wrappers.
    """
    for name, average in task.averages.items():
        decay, theirs = task.averaged[name], modules[name].state_dict()
        mine = {key: value for key, value in average.state_dict().items() if isinstance(value, Tensor)}
        for key, value in {value.data_ptr(): (key, value) for key, value in mine.items()}.values():  # tied ones once
            if value.is_floating_point() or value.is_complex():
                value.lerp_(theirs[key], 1.0 - decay)
            else:
                value.copy_(theirs[key])


@dataclass(frozen=True, slots=True)
class Stage:
    """One stretch of a run with a task of its own; stages run in order, for example pretrain, then distil.

    Attributes:
        name: of the stage, in history and checkpoints.
        task: what is learned; stages may share modules.
        data: tensors with a common number of rows, with or without names, a data kind such as `Records`, or a torch `Dataset`; an
            empty tuple for a task that makes its own batches. A function without arguments is called when the stage begins,
            and may use what earlier stages learned.
        steps: of this stage; or give `epochs`; None of both for the trainer's own number.
        beside: further data sets, by name; `Beside(data, batch_size, order)` gives one a batch size and an order of its own.
        epochs: passes over the data of this stage.
        batch_size: rows per step in this stage; None for those of the order, or else the trainer's own.
        order: `balanced(column)`, `identities(column, ...)` or `episodes(column, ...)`; None for a fresh random order of all
            rows in every pass.
        validate_every: steps between two calls of `Task.validate`, which is also called after the last step; None for the ends of
            passes, or, for a task without data, the steps that get a row of history.
        keep_best: the stage ends with modules and averages as they were at its best validation, the earlier of equal ones; the
            column "kept step" of the history says after which step that was. None ends with the last ones.

    Raises:
        ValueError: a number is below 1, both steps and epochs are given, or the batch size is not that of the order.
        TypeError: the order is none, or `keep_best` is no `Best`.
    """

    name: str
    task: Task
    data: Data | Callable[[], Data] = ()
    steps: int | None = None
    beside: Mapping[str, Data | Callable[[], Data] | Beside] = field(default_factory=dict)
    epochs: int | None = None
    batch_size: int | None = None
    order: Ordering | None = None
    validate_every: int | None = None
    keep_best: Best | None = None

    def __post_init__(self) -> None:
        make_plain(self)
        require_sizes(self.batch_size, self.order)
        for name in ("steps", "epochs", "validate_every"):
            if getattr(self, name) is not None:
                check.integer(**{name: getattr(self, name)}, at_least=1)
        if self.steps is not None and self.epochs is not None:
            raise ValueError(f"steps={self.steps}, epochs={self.epochs} of stage {self.name!r}: give one of the two")
        if self.keep_best is not None and not isinstance(self.keep_best, Best):
            raise TypeError(
                f"keep_best is {type(self.keep_best).__name__}; give privkd.trainer.Best, for example Best('accuracy', 'largest')"
            )
