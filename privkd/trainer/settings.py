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
    """What a `Trainer` is given, checked; its documentation says what each setting is."""

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
