"""Data that functions make when their stage begins: the same ones when a stopped run goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import torch

from privkd.errors import CheckpointError
from privkd.trainer.batch import Data
from privkd.trainer.batches.datasets import require_data
from privkd.trainer.beside import as_beside
from privkd.trainer.checkpoints.same_run import digest_of
from privkd.trainer.seeding import mixed, seeded
from privkd.trainer.task import Stage

_MAIN = "data"


def with_data(stage: Stage, seed: int, place: int, *, is_private: bool) -> Stage:
    """A stage with data in place of functions.

    What functions draw depends on seed, stage and name alone, so that they make the same rows when the run goes on.

    Args:
        stage: as it was given.
        seed: of the settings.
        place: of the stage in the run.
        is_private: see `require_data`.

    Raises:
        TypeError: a function gives no data.
    """

    def made(data: Data | Callable[[], Data], number: int) -> Data:
        if not callable(data):
            return data
        with seeded(mixed(seed, place, number)), torch.no_grad():
            rows = data()
        require_data(rows, private=is_private)
        return rows

    main = made(stage.data, 1)
    beside = {
        name: replace(as_beside(other), data=made(as_beside(other).data, number))
        for number, (name, other) in enumerate(sorted(stage.beside.items()), start=2)
    }
    return replace(stage, data=main, beside=beside)


def digests_of(stage: Stage, made: Stage, *, all_rows: bool | None) -> dict[str, str | None]:
    """Fingerprints of what was made, by which data set it is.

    Args:
        stage: as it was given.
        made: the same with data in place of functions.
        all_rows: whether those of the main data set are wanted although no function made them; None for those of functions.
    """
    wanted = callable(stage.data) if all_rows is None else all_rows
    found = {_MAIN: digest_of(cast("Data", made.data))} if wanted else {}
    for name, other in stage.beside.items():
        if callable(as_beside(other).data):
            found[f"{_MAIN} {name!r} beside"] = digest_of(cast("Data", as_beside(made.beside[name]).data))
    return found


def require_same(before: Mapping[str, Any], now: Mapping[str, Any], stage: str) -> None:
    """Refuse to go on with other rows than those that a stage began with.

    Raises:
        CheckpointError: they differ; the message names the data set.
    """
    differing = [name for name, digest in now.items() if before.get(name) != digest]
    if differing:
        raise CheckpointError(
            f"the {differing[0]} of stage {stage!r} differ from those that it began with, or come in another order; a function "
            "that makes them may depend on earlier stages alone, and rows that a script shuffles need a seed"
        )
