"""The clipped gradients of a task: its modules as one model, its losses per record, and the rehearsal of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from privkd.errors import TaskError
from privkd.private_training.clipping.clipped_sum import ClippedSum
from privkd.private_training.clipping.clipper import Clipper
from privkd.private_training.clipping.replay import Attributes
from privkd.private_training.clipping.rules import Rule
from privkd.private_training.rehearsal import UseOfTensor, refuse_half_default, rehearse
from privkd.trainer.batch import Batch
from privkd.trainer.context import Context
from privkd.trainer.gradient_source import Setting
from privkd.trainer.task import Task

_NAMES_SHOWN = 3  # in a message


class TaskGradients:
    """Sums of a task's clipped gradients, without noise: private.

    Attributes:
        clipper: sums clipped gradients of rows.
        trained: the parameters, under the names that `clipper` gives them.

    Raises:
        TaskError: the optimisers do not fit private gradients.
        MixedRecordsError: a module mixes records.
    """

    def __init__(self, setting: Setting, rule: Rule, strategy: str, views: int) -> None:
        self._task, self._views = setting.task, views
        self._model = _Holder(setting.task.modules)
        self._frozen = [part for module in setting.task.frozen.values() for part in module.modules()]
        self._names: tuple[str, ...] = ()  # of the columns
        self._context: Context | None = None
        self._index_use: UseOfTensor | None = None
        self.trained = {name: p for name, p in self._model.named_parameters() if p.requires_grad}
        self.clipper = Clipper(
            self._model,
            self._losses,
            rule,
            strategy,
            views=views,
            at_once=setting.at_once,
            generators=(setting.generator,),
            keepers=(setting.task,),
        )
        self._require_moved()
        self._require_dense()

    def sum(self, batch: Batch, context: Context) -> ClippedSum:
        """The clipped sum over the rows of a batch."""
        self._names = tuple(batch.columns)
        with self._within(context):
            return self.clipper(*self._viewed((batch.index.to(context.device), *batch.tensors)))

    def rehearse(self, setting: Setting) -> None:
        """Find whatever made-up rows can tell, before the charge."""
        refuse_half_default()
        task, device = setting.task, setting.engine.device
        kinds = [task.made_up(tuple(made.values())) for made in setting.made_up]
        self._names = tuple(setting.made_up[0]) if setting.made_up else ()
        if type(task).made_up is not Task.made_up:
            kinds = kinds[:1]
        batches = [((torch.arange(len(kind[0])) % setting.rows).to(device), *kind) for kind in kinds if kind]
        context = Context(0, 0, setting.steps, device, setting.generator, gather=setting.engine.gather)
        begins = type(task).on_epoch_start is not Task.on_epoch_start
        self._index_use = UseOfTensor()
        try:
            with self._within(context), setting.engine.autocast():
                rehearse(
                    task,
                    self.clipper,
                    [self._viewed(batch) for batch in batches],
                    self._index_use,
                    (lambda: task.on_epoch_start(context)) if begins else None,
                )
        finally:
            self._index_use = None

    @contextmanager
    def _within(self, context: Context) -> Iterator[None]:
        """Losses see the context; what modules keep of rows in their attributes (features, attention maps) is taken away."""
        kept = Attributes(self._model, self._frozen)
        self._context = context
        try:
            yield
        finally:
            self._context = None
            kept.put_back()

    def _viewed(self, rows: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Every row K times, shape (b, K, ...); as it is for one view."""
        views = self._views
        return rows if views == 1 else tuple(part.unsqueeze(1).expand(-1, views, *part.shape[1:]) for part in rows)

    def _losses(self, model: nn.Module, index: Tensor, *tensors: Tensor) -> Tensor:
        """Sum of the task's named losses, one number per row."""
        assert self._context is not None
        if self._index_use is not None:
            self._index_use.tensor = index
        losses = self._task.per_record(Batch(index, dict(zip(self._names, tensors, strict=True))), self._context)
        if self._index_use is not None:
            self._index_use.tensor = None
        kind = type(self._task).__name__
        if not isinstance(losses, Mapping):
            raise TaskError(
                f"{kind}.per_record gave {type(losses).__name__}; return named losses, for example "
                "{'cross-entropy': losses}"
            )
        wrong = [name for name, loss in losses.items() if not isinstance(loss, Tensor) or loss.shape != index.shape]
        if wrong or not losses:
            raise TaskError(
                f"{kind}.per_record gave {', '.join(map(repr, wrong)) or 'no loss'}, which is not one "
                "number per row, which it must be for a batch of one row, too: use reduction='none', average over all other "
                "dimensions, and squeeze a dimension by its number"
            )
        values = list(losses.values())
        return values[0] if len(values) == 1 else torch.stack(values).sum(0)

    def _require_moved(self) -> None:
        """Parameters that no optimiser moves would use up the clipping norm for nothing."""
        groups = [group for optimizer in self._task.optimizers.values() for group in optimizer.param_groups]
        moved = {id(p) for group in groups for p in group["params"]}
        unmoved = [name for name, p in self.trained.items() if id(p) not in moved]
        if unmoved:
            shown = ", ".join(unmoved[:_NAMES_SHOWN]) + " ..." * (len(unmoved) > _NAMES_SHOWN)
            raise TaskError(
                f"no optimiser of {type(self._task).__name__} moves {shown}: their gradients would use up the clipping norm; set "
                "requires_grad_(False), or put their module into frozen"
            )

    def _require_dense(self) -> None:
        """Noise reaches every number, so that no gradient of a private run is sparse."""
        optimizers = self._task.optimizers.items()
        sparse = [name for name, optimizer in optimizers if isinstance(optimizer, torch.optim.SparseAdam)]
        if sparse:
            raise TaskError(
                f"optimizers {', '.join(map(repr, sparse))} are SparseAdam, which takes sparse gradients only; noise reaches "
                "every row of a table, so private gradients are dense: use Adam. Nothing was charged"
            )


class _Holder(nn.Module):
    """The modules of a task as one, so that their parameters have names."""

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        super().__init__()
        for name, module in modules.items():
            if hasattr(self, path := name.replace(".", "_")):
                raise TaskError(
                    f"two modules of the task would be called {path!r}; give names that differ by more than a dot"
                )
            self.add_module(path, module)
