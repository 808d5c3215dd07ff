"""Which processes share a run: read from what torchrun, mpirun and accelerate leave in the environment."""

from __future__ import annotations

import os
from collections.abc import Sequence

# Names of torchrun, Intel MPI (and Slurm), Open MPI and MVAPICH, in the order in which accelerate looks at them.
_COUNTS = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
_RANKS = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")


def process_count() -> int:
    """How many processes share a run, this one included.

    Raises:
        ValueError: accelerate was asked for several and started one: each would train alone, or one instead of all.
    """
    count = _first(_COUNTS)
    # Its launcher for one process sets both, the address only where there should be several.
    if count is None and {"ACCELERATE_USE_CPU", "MASTER_ADDR"} <= os.environ.keys():
        raise ValueError(
            "accelerate launch was asked for several processes and started this one alone, as it does on CPUs. Start them with "
            "torchrun --nproc_per_node=2 SCRIPT, accelerate launch --multi_gpu (CPUs, too), or privkd train --processes 2; if "
            "one is meant, give accelerate --num_processes 1 and unset MASTER_ADDR"
        )
    return 1 if count is None else count


def is_first_process() -> bool:
    """Whether this process is the one that writes: the first of all, or the only one."""
    return not _first(_RANKS)


def _first(names: Sequence[str]) -> int | None:
    """The number under the first of these names that is set."""
    return next((int(os.environ[name]) for name in names if os.environ.get(name)), None)
