"""The settings of a run, checked when they are given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from accountants import Ledger, check
from privkd.plain import make_plain
from privkd.trainer.devices.engine import PRECISIONS
from privkd.trainer.gradient_source import Gradients


@dataclass(frozen=True, kw_only=True)
class TrainerSettings:
    """What a `Trainer` is given: how long a run takes, how it computes, what it keeps and what it protects.

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
        self._check_numbers()
        if self.ledger is not None and not isinstance(self.ledger, Ledger):
            raise TypeError(
                f"ledger is {type(self.ledger).__name__}; give an accountants.Ledger, for example Ledger.read(path)"
            )
        if self.unsafe_logging and not self.has_private_rows:
            raise ValueError(
                "unsafe_logging=True has a meaning only for private rows: give ledger or privacy, or leave it out"
            )
        self._check_device()
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

    @property
    def has_private_rows(self) -> bool:
        """Whether the rows of the run are private."""
        return self.ledger is not None or self.privacy is not None

    @property
    def is_quiet(self) -> bool:
        """Whether histories, files and messages keep quiet about the rows."""
        return self.has_private_rows and not self.unsafe_logging

    def _check_numbers(self) -> None:
        for name in ("steps", "epochs", "checkpoint_every"):
            if getattr(self, name) is not None:
                check.integer(**{name: getattr(self, name)}, at_least=1)
        for name in ("batch_size", "accumulate", "threads", "records", "keep"):
            check.integer(**{name: getattr(self, name)}, at_least=1)
        check.integer(seed=self.seed, at_least=0)
        check.integer(workers=self.workers, at_least=0)
        if self.clip_norm is not None:
            check.real(clip_norm=self.clip_norm, above=0.0)

    def _check_device(self) -> None:
        try:
            kind = "cpu" if self.device == "auto" else torch.device(self.device).type
        except RuntimeError:
            raise ValueError(
                f"device={self.device!r} is no device of torch; use auto, cpu or, for example, cuda:0"
            ) from None
        if kind == "cuda" and not torch.cuda.is_available():
            raise ValueError(f"device={self.device!r} was asked for, but this torch finds none; use auto or cpu")

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
