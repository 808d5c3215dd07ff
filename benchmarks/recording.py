"""What every benchmark writes down: cases, records that others can judge, and figures with their interval."""

from __future__ import annotations

import json
import platform
import resource
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import t as student_t

import privkd

LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn")


@dataclass(frozen=True)
class Case:
    """One run: a method, its epsilon (None where there is no guarantee) and a seed."""

    method: str
    epsilon: float | None
    seed: int

    def is_in(self, record: dict[str, Any]) -> bool:
        """Whether a record is about this case."""
        return all(record[name] == value for name, value in asdict(self).items())


def measured(case: Case, run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Run a case; its outcome with what it took and where it ran."""
    wall, cpu = time.monotonic(), time.process_time()
    outcome = run()
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    return {
        **asdict(case),
        **outcome,
        "cpu_seconds": round(cpu, 2),
        "wall_seconds": round(wall, 2),
        "peak_memory_of_process_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "environment": environment(),
    }


@cache
def environment() -> dict[str, Any]:
    """Commit, versions and threads."""
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=40"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
        check=False,
    )
    versions = {name: version(name) for name in LIBRARIES}
    return {
        "commit": found.stdout.strip() or "unknown",
        "versions": {"privkd": privkd.__version__, "python": platform.python_version(), **versions},
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
    }


def read_records(file: Path) -> list[dict[str, Any]]:
    """All records of a file of JSON lines; none if there is no file yet."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [json.loads(line) for line in lines]


def append_record(file: Path, record: dict[str, Any]) -> None:
    """Add one line; several processes may share the file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(record) + "\n")


def summary(values: Sequence[float]) -> str:
    """Mean and half width; `-` without values."""
    if not values:
        return "-"
    if len(values) < 2:
        return f"{values[0]:.3f}"
    half = student_t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{np.mean(values):.3f} ± {half:.3f}"
