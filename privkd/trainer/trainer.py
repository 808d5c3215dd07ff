"""The only training engine of the project. It must not know what a teacher, a student or a privacy budget is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from privkd.trainer.batch import Data
from privkd.trainer.batches.datasets import require_data
from privkd.trainer.beside import Beside, as_beside
from privkd.trainer.checkpoints.checkpoints import Checkpoints
from privkd.trainer.devices.engine import engine_for
from privkd.trainer.devices.placement import threads_limited
from privkd.trainer.guards import require_gradients_possible
from privkd.trainer.history import History
from privkd.trainer.run import Run
from privkd.trainer.seeding import mixed, secret_seed, seeded
from privkd.trainer.session import Session
from privkd.trainer.settings import TrainerSettings
from privkd.trainer.stopping import watching_for_stop
from privkd.trainer.task import Stage, Task, overrides


@dataclass(frozen=True, kw_only=True)
class Trainer(TrainerSettings):
    """Runs a task, or stages one after another.

    Args:
        steps: optimiser steps, >= 1; or give `epochs`.
        epochs: passes over the data, >= 1.
        batch_size: rows per step, >= 1, of all processes and micro-batches together; smaller data are used whole.
        accumulate: parts that every batch is computed in, >= 1: the same gradients with less memory.
        clip_norm: largest norm of all gradients of one optimiser together, > 0; None for no limit.
        precision: "fp32", or on an accelerator "bf16" or "fp16".
        compile: compile modules with `torch.compile`.
        seed: order of the rows and randomness of the task, >= 0. It never touches noise that protects people; with `privacy` it has
            no effect, since nobody may know which row met which mask.
        sharded: split weights, gradients and optimiser states over the processes of the run (FSDP) instead of copying them to
            each; for models that do not fit otherwise.
        device: `"auto"` (an accelerator if there is one), or a torch device name.
        threads: CPU threads of the run; small models are fastest, and safe beside busy neighbours, with one.
        records: how many rows of history to keep, evenly spaced over each stage.
        workers: processes that read a torch `Dataset` ahead, >= 0; tensors need none.
        folder: where `metrics.jsonl` and checkpoints go; a run that was stopped goes on from there when it is started
            again with equal settings. None keeps nothing on disk.
        checkpoint_every: steps between checkpoints, >= 1; by default as many as between rows of history.
        keep: how many of the latest checkpoints stay, >= 1.
        trackers: services that show the run beside `metrics.jsonl`, for example ("tensorboard",); accelerate knows their
            names, and each needs its package. They get the rows of history and the settings, so nothing private.
        privacy: `privkd.private_training.PrivateGradients`: every record's gradient is clipped and noise is added to the sums,
            so that the trained modules may be released; `History.certificate` says what is guaranteed. The task needs `per_record`,
            the run one stage. Everything about the rows is then kept out of history and files.
        ledger: of a run on private data; with `privacy` it is charged. If it lies in a file or has a budget, the certificate is
            about this run alone and names what all releases cost together; else about all that was charged so far. Losses, logs
            and figures are then kept out of history and files, because nothing protects them.
        unsafe_logging: write them down all the same; the ledger discloses it first, and no certificate from it states a
            guarantee any more.

    Raises:
        ValueError: a setting is out of range, both or none of steps and epochs are given, or settings exclude each other.
    """

    def run(
        self,
        task: Task | Sequence[Stage],
        data: Data = (),
        *,
        beside: Mapping[str, Data | Callable[[], Data] | Beside] | None = None,
        description: str = "training",
    ) -> History:
        """Train the modules in place, leaving them in eval mode on the CPU.

        Args:
            task: what to learn; or stages that bring their own data.
            data: tensors with the same number of rows, with or without names, a data kind such as `Records`, or a torch `Dataset`
                (give it its length); an empty tuple for a task that makes its own batches.
            beside: further data sets, by name, for example unlabelled rows, as in `Stage`; `Batch.beside` has their batches.
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
        require_gradients_possible()
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

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A block of many short runs: `with trainer.session() as session: session.run(task, data, steps=1)`.

        A run costs next to nothing beside its steps, because modules stay placed until the block ends, and frozen ones are
        compared with what they were once, at its end. See `Session`.

        Raises:
            ValueError: the trainer has a folder, privacy or several processes; each of these needs `run`.
            TaskError: at the end of the block: a frozen module changed.
        """
        if self.folder is not None:
            raise ValueError(
                f"folder={str(self.folder)!r}: a session writes no checkpoints; leave folder out, or use run"
            )
        if self.privacy is not None:
            raise ValueError("privacy is charged for a whole run with its certificate; use run, not a session")
        with (
            engine_for(self.device, self.precision, sharded=self.sharded) as engine,
            watching_for_stop(engine) as stop,
        ):
            if engine.process[1] > 1:
                raise ValueError(
                    f"a session trains in one process, and there are {engine.process[1]}; use run, or start the program without "
                    "torchrun"
                )
            with Session(self, engine, stop) as session:
                yield session

    def _require_runnable(self, stages: Sequence[Stage]) -> None:
        if not stages:
            raise ValueError("stages is empty; give at least one")
        for stage in stages:
            for data in (stage.data, *(as_beside(other).data for other in stage.beside.values())):
                if not callable(data):
                    require_data(data, private=self.privacy is not None)
        if self.privacy is not None and (len(stages) > 1 or stages[0].beside):
            raise ValueError(
                f"privacy covers one stage with one data set, got {len(stages)} stages"
                + (f" and {sorted(stages[0].beside)} beside" if stages[0].beside else "")
                + "; train on public data in a run of its own"
            )
        if self.privacy is not None:
            _require_own_sampling(stages[0])
        for stage in stages:
            self._require_allowed(stage)

    def _require_allowed(self, stage: Stage) -> None:
        """Refuse what a private run must not do, and the best of validations that there are not."""
        task = type(stage.task).__name__
        if self.privacy is not None and overrides(stage.task, "before_step"):
            raise ValueError(
                f"{task}.before_step may change gradients after noise was added, and no guarantee would hold; train without "
                "privacy, or without that method"
            )
        if stage.keep_best is None:
            return
        if self.has_private_rows:
            raise ValueError(
                f"keep_best of stage {stage.name!r} chooses weights by figures that nothing protects; a run on private rows keeps "
                "the last ones: leave keep_best out"
            )
        if not overrides(stage.task, "validate"):
            raise ValueError(
                f"keep_best of stage {stage.name!r} needs figures, and {task} has no validate of its own: write it, or leave "
                "keep_best out"
            )


def _require_own_sampling(stage: Stage) -> None:
    """Refuse a private stage that says which rows make its batches, or remembers rows: nothing bounds what comes of it.

    Raises:
        ValueError: it has an order, or its task chooses rows or has memories of them.
    """
    if stage.task.memories:
        raise ValueError(
            f"memories of {type(stage.task).__name__} keep something of every row, which a private run bounds by nothing; train a "
            "task without them"
        )
    if stage.order is not None:
        raise ValueError(
            f"order={type(stage.order).__name__.lower()}(...) of stage {stage.name!r} looks at rows to draw batches, which a "
            "private run pays nothing for; leave it out: PrivateGradients(sampling=...) draws them"
        )
    if overrides(stage.task, "rows"):
        raise ValueError(
            f"{type(stage.task).__name__}.rows chooses rows by looking at them, which a private run pays nothing for; train a task "
            "without it: PrivateGradients(sampling=...) draws the batches"
        )
