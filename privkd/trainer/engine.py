"""The only optimiser loop of the project, with accelerate inside.

This first version runs one task on one process, on the CPU or one accelerator, for a fixed number of steps. It must
not know what a teacher, a student or a privacy budget is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from accountants import check
from privkd.errors import NonFiniteLoss
from privkd.progress import track
from privkd.trainer.seeding import seeded
from privkd.trainer.task import Batch, Task


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """Runs a task for a fixed number of steps.

    Args:
        steps: number of optimiser steps, >= 1.
        batch_size: rows per step, >= 1; a data set smaller than that is used whole in every step.
        seed: order of the rows and randomness of the task, >= 0. It never touches noise that protects people.
        device: `"auto"` (an accelerator if there is one), or a torch device name.
        threads: CPU threads of the run; small models are fastest, and safe beside busy neighbours, with one.
        records: how many rows of history to keep, evenly spaced over the run.
    """

    steps: int
    batch_size: int = 64
    seed: int = 0
    device: str = "auto"
    threads: int = 1
    records: int = 20

    def __post_init__(self) -> None:
        check.integer(steps=self.steps, at_least=1)
        check.integer(batch_size=self.batch_size, at_least=1)
        check.integer(seed=self.seed, at_least=0)
        check.integer(threads=self.threads, at_least=1)
        check.integer(records=self.records, at_least=1)

    def run(
        self, task: Task, data: tuple[Tensor, ...] = (), *, description: str = "training"
    ) -> list[dict[str, float]]:
        """Train the task's modules in place, leaving them in eval mode on the CPU.

        Args:
            task: what to learn.
            data: tensors with the same number of rows; empty for a task that makes its own batches.
            description: what the progress display says.

        Returns:
            History: one row per stretch of steps, with `step` and the mean of every loss term over the stretch.

        Raises:
            ValueError: the tensors have no rows or different numbers of rows.
            NonFiniteLoss: a loss term became NaN or infinite.
        """
        from accelerate import Accelerator

        rows = {len(tensor) for tensor in data}
        if len(rows) > 1 or 0 in rows:
            raise ValueError(f"data tensors must have one common number of rows >= 1, got {[len(t) for t in data]}")
        device = self._choose_device()
        with _threads(self.threads), seeded(self.seed), _placed(task, device):
            accelerator = Accelerator(cpu=device.type == "cpu")
            optimizers = [accelerator.prepare(optimizer) for optimizer in task.optimizers]
            with track(description, self.steps) as advance:
                return self._loop(task, tuple(t.to(device) for t in data), accelerator, optimizers, advance)

    def _loop(self, task, data, accelerator, optimizers, advance) -> list[dict[str, float]]:
        history: list[dict[str, float]] = []
        stretch = max(1, self.steps // self.records)
        totals: dict[str, Tensor] = {}
        for step, batch in enumerate(self._batches(data), start=1):
            terms = task.step(batch)
            for optimizer in optimizers:
                optimizer.zero_grad()
            accelerator.backward(torch.stack(list(terms.values())).sum())
            for optimizer in optimizers:
                optimizer.step()
            for name, term in terms.items():
                totals[name] = totals.get(name, 0.0) + term.detach()
            if step % stretch == 0 or step == self.steps:
                done = stretch if step % stretch == 0 else step % stretch
                history.append({"step": float(step), **{name: float(total) / done for name, total in totals.items()}})
                _refuse_non_finite(history[-1])
                totals = {}
            advance()
        return history

    def _batches(self, data: tuple[Tensor, ...]) -> Iterator[Batch]:
        """Exactly `steps` batches: passes over a fresh random order; short last batches are dropped."""
        generator = torch.Generator().manual_seed(self.seed)
        if not data:
            for _ in range(self.steps):
                yield Batch(torch.empty(0, dtype=torch.int64), (), generator)
            return
        size = min(self.batch_size, len(data[0]))
        made = 0
        while True:
            for index in torch.randperm(len(data[0]), generator=generator).split(size):
                if len(index) < size:
                    continue
                if made == self.steps:
                    return
                made += 1
                yield Batch(index, tuple(tensor[index.to(tensor.device)] for tensor in data), generator)

    def _choose_device(self) -> torch.device:
        if self.device != "auto":
            return torch.device(self.device)
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def _placed(task: Task, device: torch.device) -> Iterator[None]:
    """Modules on the device, trained ones in train mode, frozen ones without gradients; all in eval mode on the CPU after."""
    wanted = [p for module in task.frozen.values() for p in module.parameters() if p.requires_grad]
    for module in task.modules.values():
        module.to(device).train()
    for module in task.frozen.values():
        module.to(device).eval()
    for parameter in wanted:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)
        for module in (*task.modules.values(), *task.frozen.values()):
            module.eval().to("cpu")


def _refuse_non_finite(row: dict[str, float]) -> None:
    bad = [name for name, value in row.items() if value != value or value in (float("inf"), float("-inf"))]
    if bad:
        raise NonFiniteLoss(
            f"loss term {', '.join(bad)} is not finite at step {row['step']:g}; lower the learning rate, or check the "
            "range of the inputs"
        )


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
