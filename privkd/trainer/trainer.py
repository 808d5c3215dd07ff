"""The only training engine of the project. It must not know what a teacher, a student or a privacy budget is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing, nullcontext
from pathlib import Path

import torch

from privkd.errors import TaskError
from privkd.trainer.batch import Data
from privkd.trainer.batches.datasets import require_data
from privkd.trainer.checkpoints.checkpoints import Checkpoints
from privkd.trainer.devices.engine import engine_for
from privkd.trainer.devices.placement import threads_limited
from privkd.trainer.history import History
from privkd.trainer.run import Run
from privkd.trainer.seeding import mixed, secret_seed, seeded
from privkd.trainer.settings import TrainerSettings
from privkd.trainer.stopping import watching_for_stop
from privkd.trainer.task import Stage, Task


class Trainer(TrainerSettings):
    """Runs a task, or stages one after another. What it is given are the arguments of `TrainerSettings`."""

    def run(
        self,
        task: Task | Sequence[Stage],
        data: Data = (),
        *,
        beside: Mapping[str, Data] | None = None,
        description: str = "training",
    ) -> History:
        """Train the modules in place, leaving them in eval mode on the CPU.

        Args:
            task: what to learn; or stages that bring their own data.
            data: tensors with the same number of rows, `Records`, or a torch `Dataset` (items become tensors; give it its
                length); an empty tuple for a task that makes its own batches.
            beside: further data sets, by name, for example unlabelled rows; `Batch.beside` has their batches.
            description: what the progress display says.

        Returns:
            History: one row per stretch of steps, with `step` and the mean of every loss and log over the stretch.

        Raises:
            ValueError: the data have no rows or different numbers of rows.
            TypeError: the data are something else, for example a DataLoader.
            TaskError: the first batch does not fit the task, a frozen module changed, or inference mode is on; with `privacy`,
                before anything is charged: the task fails on made-up rows, or no gradient reaches its parameters.
            NonFiniteLoss: a loss or gradient became NaN or infinite.
            OutOfMemory: a step does not fit into memory.
            CheckpointError: a checkpoint or `metrics.jsonl` could not be written, or the folder holds another run or is in use.
            TrainingStopped: the process was asked to end; the run is saved.
        """
        if torch.is_inference_mode_enabled():
            raise TaskError(
                "torch.inference_mode() is on, in which there are no gradients: call Trainer.run outside of it. Nothing was done"
            )
        stages = [Stage("training", task, data, beside=beside or {})] if isinstance(task, Task) else list(task)
        self._require_runnable(stages)
        checkpoints = None if self.folder is None else Checkpoints(Path(self.folder) / "checkpoints", keep=self.keep)
        # Masks and augmentations of private rows must be secret: with a known seed, one row more shifts those of all others.
        seed = self.seed if self.privacy is None else secret_seed()
        with (
            torch.enable_grad(),
            threads_limited(self.threads),
            engine_for(self.device, self.precision, sharded=self.sharded) as engine,
            seeded(mixed(seed, engine.process[0])),
            watching_for_stop(engine) as stop,
            checkpoints.held() if checkpoints is not None and engine.process[0] == 0 else nullcontext(),
            closing(Run(self, stages, engine, checkpoints, stop=stop, seed=seed)) as run,
        ):
            return run.go(description)

    def _require_runnable(self, stages: Sequence[Stage]) -> None:
        if not stages:
            raise ValueError("stages is empty; give at least one")
        for stage in stages:
            for data in (*(() if callable(stage.data) else (stage.data,)), *stage.beside.values()):
                require_data(data, private=self.privacy is not None)
        if self.privacy is not None and (len(stages) > 1 or stages[0].beside):
            raise ValueError(
                f"privacy covers one stage with one data set, got {len(stages)} stages"
                + (f" and {sorted(stages[0].beside)} beside" if stages[0].beside else "")
                + "; train on public data in a run of its own"
            )
