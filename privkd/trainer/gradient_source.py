"""How a run gets gradients other than by a backward pass of its mean losses: an interface."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from privkd.trainer.batch import Batch
from privkd.trainer.context import Context
from privkd.trainer.devices.engine import Engine
from privkd.trainer.task import Task

if TYPE_CHECKING:
    from accountants import Ledger
    from privkd.certificates.certificate import Certificate


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a run says of itself before its first step.

    Attributes:
        task: placed already; its `per_record` gives losses.
        rows: of the data.
        is_read: whether a data set of the caller's gives the rows one by one.
        made_up: made-up rows of the shapes and dtypes of the data, its columns by name, once for each kind that may be tried.
        batch_size: records per step.
        steps: of the run.
        at_once: most records in one forward pass; None for all.
        engine: where it happens.
        generator: that of the task's context.
        ledger: to charge; None for one of its own.
        folder: of the run, where its own ledger is kept; None keeps nothing on disk.
        resumed: what `GradientRun.state_dict` gave to the checkpoint that the run goes on from; None at its beginning.
    """

    task: Task
    rows: int
    is_read: bool
    made_up: tuple[dict[str, Tensor], ...]
    batch_size: int
    steps: int
    at_once: int | None
    engine: Engine
    generator: torch.Generator
    ledger: Ledger | None
    folder: Path | None
    resumed: Mapping[str, Any] | None


@runtime_checkable
class GradientRun(Protocol):
    """The gradients of one run."""

    @property
    def ledger(self) -> Ledger:
        """The ledger of everything that the run releases."""
        ...

    @property
    def steps_per_epoch(self) -> int:
        """Steps that count as one pass."""
        ...

    def at(self, step: int) -> Tensor:
        """Rows of a step for this process, int64; may be empty."""
        ...

    def fill(self, batch: Batch, context: Context) -> Mapping[str, Tensor | float]:
        """Put a gradient into every trained parameter; gives the mean loss, for runs that may say it."""
        ...

    def certificate(self) -> Certificate:
        """The certificate of all iterates, when the run is over."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        ...


@runtime_checkable
class Gradients(Protocol):
    """The settings of such gradients."""

    @property
    def counts_passes(self) -> bool:
        """Whether what is paid for is passes over rows in one order, so that a run may go on with these rows alone."""
        ...

    def begin(self, setting: Setting) -> GradientRun:
        """Check and charge before the first step, or before going on."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """What must be equal for two runs to be one."""
        ...
