"""The only optimiser loop of the project. It must not know what a teacher, a student or a privacy budget is."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from accountants import Ledger, check
from privkd.errors import PrivkdError, TaskError, TrainingStopped
from privkd.plain import make_plain
from privkd.progress import track
from privkd.trainer.batch import Data
from privkd.trainer.batches.datasets import require_data
from privkd.trainer.checkpoints.checkpoints import Checkpoints
from privkd.trainer.devices.engine import PRECISIONS, engine_for
from privkd.trainer.devices.placement import placed, threads_limited
from privkd.trainer.gradient_source import Gradients
from privkd.trainer.guards import partly_used
from privkd.trainer.history import History
from privkd.trainer.run import Run
from privkd.trainer.seeding import mixed, secret_seed, seeded
from privkd.trainer.stage_loop import Loop
from privkd.trainer.stopping import watching_for_stop
from privkd.trainer.task import Stage, Task

__all__ = ["Trainer"]


@dataclass(frozen=True, kw_only=True)
class Trainer:
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

    steps: int | None = None
    epochs: int | None = None
    batch_size: int = 64
    accumulate: int = 1
    clip_norm: float | None = None
    precision: str = "fp32"
    compile: bool = False
    sharded: bool = False
    seed: int = 0
    device: str = "auto"
    threads: int = 1
    records: int = 20
    workers: int = 0
    folder: str | Path | None = None
    checkpoint_every: int | None = None
    keep: int = 3
    trackers: tuple[str, ...] = ()
    privacy: Gradients | None = None
    ledger: Ledger | None = None
    unsafe_logging: bool = False

    def __post_init__(self) -> None:
        make_plain(self)
        for name in ("steps", "epochs", "checkpoint_every"):
            if getattr(self, name) is not None:
                check.integer(**{name: getattr(self, name)}, at_least=1)
        for name in ("batch_size", "accumulate", "threads", "records", "keep"):
            check.integer(**{name: getattr(self, name)}, at_least=1)
        check.integer(seed=self.seed, at_least=0)
        check.integer(workers=self.workers, at_least=0)
        if self.clip_norm is not None:
            check.real(clip_norm=self.clip_norm, above=0.0)
        if self.ledger is not None and not isinstance(self.ledger, Ledger):
            raise TypeError(
                f"ledger is {type(self.ledger).__name__}; give an accountants.Ledger, for example Ledger.read(path)"
            )
        if self.unsafe_logging and self.ledger is None and self.privacy is None:
            raise ValueError(
                "unsafe_logging=True has a meaning only for private rows: give ledger or privacy, or leave it out"
            )
        try:
            kind = "cpu" if self.device == "auto" else torch.device(self.device).type
        except RuntimeError:
            raise ValueError(
                f"device={self.device!r} is no device of torch; use auto, cpu or, for example, cuda:0"
            ) from None
        if kind == "cuda" and not torch.cuda.is_available():
            raise ValueError(f"device={self.device!r} was asked for, but this torch finds none; use auto or cpu")
        if self.trackers and self.folder is None:
            raise ValueError(f"trackers={self.trackers!r} need a folder for their files; give folder")
        if self.trackers:
            from privkd.trainer.devices.accelerated import require_trackers

            require_trackers(self.trackers)
        if self.privacy is not None:
            self._check_private()
        if (self.steps is None) == (self.epochs is None):
            raise ValueError(f"steps={self.steps!r}, epochs={self.epochs!r}: give exactly one of the two")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision={self.precision!r} must be one of {', '.join(PRECISIONS)}")

    def _check_private(self) -> None:
        if self.clip_norm is not None:
            raise ValueError(
                f"clip_norm={self.clip_norm!r} clips whole batches; a private run clips every record: PrivateGradients(clip=...)"
            )
        if self.sharded:
            raise ValueError("sharded=True splits weights, and gradients per record need them whole; run without it")
        if self.compile:
            raise ValueError(
                "compile=True hides the layers whose inputs private gradients are made from; run without it"
            )
        if self.precision == "fp16":
            raise ValueError("precision='fp16' scales losses, which private gradients do not; use 'bf16' or 'fp32'")

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
        if not stages:
            raise ValueError("stages is empty; give at least one")
        for stage in stages:
            for one in (*(() if callable(stage.data) else (stage.data,)), *stage.beside.values()):
                require_data(one, private=self.privacy is not None)
        if self.privacy is not None and (len(stages) > 1 or stages[0].beside):
            raise ValueError(
                f"privacy covers one stage with one data set, got {len(stages)} stages"
                + (f" and {sorted(stages[0].beside)} beside" if stages[0].beside else "")
                + "; train on public data in a run of its own"
            )
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
            closing(Run(self, stages, engine, checkpoints, seed=seed)) as run,
        ):
            run.resume()
            for position in range(run.position, len(stages)):
                stage = stages[position]
                label = description if len(stages) == 1 else f"{description}: {stage.name}"
                data = _quiet(run, partial(run.data, position))
                with placed(stage.task, engine, compiled=self.compile, wrapped=self.privacy is None):
                    _quiet(run, partial(_advance, run, run.loop(position, data), label, stop))
                _quiet(run, partial(run.finished, position))
            return run.history


def _quiet(run: Run, call: Callable[[], Any]) -> Any:
    """What a call of task or data gives; if the rows are private, without texts of errors and warnings, which may quote them."""
    try:
        with warnings.catch_warnings():
            if run.is_private:
                warnings.simplefilter("ignore")
            return call()
    except PrivkdError:
        raise
    except Exception as error:
        if not run.is_private:
            raise
        withheld = f"{type(error).__name__} in step {run.step + 1}"
    # Outside of the handler, so that the error does not carry what it keeps quiet about.
    raise TaskError(
        f"{withheld}; its text may quote private rows and is kept back. unsafe_logging=True shows it, and ends every guarantee; a "
        "run on made-up rows like the real ones shows most mistakes, too"
    )


def _advance(run: Run, loop: Loop, label: str, stop: Callable[[int], bool]) -> None:
    """All steps of a stage that are left."""
    with track(label, loop.steps - loop.step) as advance:
        while loop.step < loop.steps:
            told = None
            try:
                loop.advance()
            except (RuntimeError, MemoryError) as error:
                told = partly_used(error, loop.task) or run.too_large(error)
                if told is None:
                    raise
                if not run.is_private:
                    raise told from error
            if told is not None:
                raise told
            advance()
            if stop(loop.step):
                run.save()
                raise TrainingStopped(
                    f"stopped by a signal at step {loop.step} of {loop.steps}; "
                    + (
                        "nothing is saved"
                        if run.checkpoints is None
                        else f"the run is saved in {run.trainer.folder}: start it again to go on"
                    )
                )
