"""Accountants side by side: certified interval, CPU seconds and memory of privkd, dp-accounting, prv-accountant, opacus.

Every figure comes from a process of its own on one thread: CPU seconds are the median of repeated calls after one
warm-up of the library (imports and first use), memory is the peak of that process. A library that is not installed,
fails or does not finish in time is listed as such.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

# Python puts this folder first, where this very file would be taken for the package `accountants`.
sys.path = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).resolve().parent]

DELTA = 1e-5
SIGMA, Q = 1.1, 0.01
TIMEOUT = 120.0  # seconds of wall time for one process

# CPU seconds and width that this project sets itself; None where only others are shown.
GOALS = {"1e4": (0.03, 1e-3), "1e5": (0.03, 1e-3), "1e6": (0.05, 1e-3), "1000 distinct": (1.5, 2e-3)}
CALIBRATION_GOAL, IMPORT_GOAL, MEMORY_GOAL = 0.15, 0.3, 200.0
COUNTS = {"1e3": 10**3, "1e4": 10**4, "1e5": 10**5, "1e6": 10**6}
BUDGETS = {"calibrate 0.5": 0.5, "calibrate 1": 1.0, "calibrate 3": 3.0, "calibrate 10": 10.0}
CASES = (*COUNTS, "1000 distinct", *BUDGETS, "import", "first answer")


def distinct_steps() -> list[tuple[float, float]]:
    """A thousand different (sigma, q), as a schedule of noise and batch sizes would give."""
    import numpy as np

    random = np.random.default_rng(0)
    pairs = zip(random.uniform(0.8, 3.0, 1000), random.uniform(0.001, 0.02, 1000), strict=True)
    return [(round(float(sigma), 4), round(float(q), 5)) for sigma, q in pairs]


def steps_of(case: str) -> list[tuple[float, float, int]]:
    """(sigma, q, count) of a case."""
    if case == "1000 distinct":
        return [(sigma, q, 1) for sigma, q in distinct_steps()]
    return [(SIGMA, Q, COUNTS.get(case, 10**4))]


class Privkd:
    """This project; both ends certified."""

    modules = ("accountants",)
    options: ClassVar[dict[str, Any]] = {}

    def load(self) -> None:
        """Import and first use."""
        self.interval([(2.0, 0.1, 1000)])

    def interval(self, steps: list[tuple[float, float, int]]) -> tuple[float | None, float]:
        """(lower, upper)."""
        from accountants import Composed, Gaussian, epsilon

        event = Composed(tuple(Gaussian(sigma).poisson(q) * count for sigma, q, count in steps))
        bound = epsilon(event, DELTA, **self.options)
        return bound.lower, bound.upper

    def sigma(self, budget: float) -> float:
        """Smallest sigma found."""
        from accountants import Gaussian, calibrate

        return calibrate(lambda sigma: Gaussian(sigma).poisson(Q) * 10**4, budget, DELTA).value


class PrivkdLattice(Privkd):
    """The second, independent path."""

    options: ClassVar[dict[str, Any]] = {"method": "lattice"}


class DpAccounting:
    """Upper end only."""

    modules = ("dp_accounting.pld", "dp_accounting.rdp")

    def __init__(self, interval: float | None) -> None:
        self.discretization = interval

    def load(self) -> None:
        """Import and first use."""
        self.interval([(2.0, 0.1, 10)])

    def interval(self, steps: list[tuple[float, float, int]]) -> tuple[float | None, float]:
        """(None, upper)."""
        from dp_accounting import dp_event
        from dp_accounting.pld import PLDAccountant
        from dp_accounting.rdp import RdpAccountant

        accountant = (
            RdpAccountant()
            if self.discretization is None
            else PLDAccountant(value_discretization_interval=self.discretization)
        )
        for sigma, q, count in steps:
            accountant.compose(dp_event.PoissonSampledDpEvent(q, dp_event.GaussianDpEvent(sigma)), count)
        return None, accountant.get_epsilon(DELTA)

    def sigma(self, budget: float) -> float:
        """Smallest sigma found."""
        from dp_accounting import calibrate_dp_mechanism, dp_event
        from dp_accounting.mechanism_calibration import ExplicitBracketInterval
        from dp_accounting.pld import PLDAccountant
        from dp_accounting.rdp import RdpAccountant

        def make() -> Any:
            if self.discretization is None:
                return RdpAccountant()
            return PLDAccountant(value_discretization_interval=self.discretization)

        def event(sigma: float) -> Any:
            return dp_event.SelfComposedDpEvent(
                dp_event.PoissonSampledDpEvent(Q, dp_event.GaussianDpEvent(sigma)), 10**4
            )

        found = calibrate_dp_mechanism(make, event, budget, DELTA, ExplicitBracketInterval(0.5, 20.0), tol=1e-4)
        return float(found)


class PrvAccountant:
    """Both ends, with an error that is asked for."""

    modules = ("prv_accountant",)

    def load(self) -> None:
        """Import and first use."""
        self.interval([(2.0, 0.1, 10)])

    def interval(self, steps: list[tuple[float, float, int]]) -> tuple[float | None, float]:
        """(lower, upper)."""
        from prv_accountant import PoissonSubsampledGaussianMechanism, PRVAccountant

        accountant = PRVAccountant(
            prvs=[PoissonSubsampledGaussianMechanism(noise_multiplier=s, sampling_probability=q) for s, q, _ in steps],
            max_self_compositions=[count for _, _, count in steps],
            eps_error=0.01,
            delta_error=DELTA / 1000,
        )
        lower, _, upper = accountant.compute_epsilon(DELTA, [count for _, _, count in steps])
        return float(lower), float(upper)


class Opacus:
    """Upper end only."""

    modules = ("opacus.accountants",)

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def load(self) -> None:
        """Import and first use."""
        self.interval([(2.0, 0.1, 10)])

    def interval(self, steps: list[tuple[float, float, int]]) -> tuple[float | None, float]:
        """(None, upper)."""
        from opacus.accountants import PRVAccountant, RDPAccountant

        accountant = RDPAccountant() if self.kind == "rdp" else PRVAccountant()
        accountant.history = [(sigma, q, count) for sigma, q, count in steps]
        return None, float(accountant.get_epsilon(delta=DELTA))

    def sigma(self, budget: float) -> float:
        """Smallest sigma found."""
        from opacus.accountants.utils import get_noise_multiplier

        return float(
            get_noise_multiplier(
                target_epsilon=budget,
                target_delta=DELTA,
                sample_rate=Q,
                steps=10**4,
                accountant=self.kind,
                epsilon_tolerance=1e-3,
            )
        )


LIBRARIES: dict[str, Callable[[], Any]] = {
    "privkd": Privkd,
    "privkd lattice": PrivkdLattice,
    "dp-accounting RDP": lambda: DpAccounting(None),
    "dp-accounting PLD 1e-3": lambda: DpAccounting(1e-3),
    "dp-accounting PLD 1e-4": lambda: DpAccounting(1e-4),
    "prv-accountant 0.01": PrvAccountant,
    "opacus RDP": lambda: Opacus("rdp"),
    "opacus PRV": lambda: Opacus("prv"),
}


def measure_here(library: str, case: str, repeats: int) -> dict[str, Any]:
    """One figure, in this process."""
    start = time.process_time()
    subject = LIBRARIES[library]()
    for module in subject.modules:
        __import__(module)
    record: dict[str, Any] = {"import_cpu_seconds": time.process_time() - start}
    if case == "import":
        record["cpu_seconds"] = record["import_cpu_seconds"]
        return record
    subject.load()
    if case == "first answer":
        record["cpu_seconds"] = time.process_time() - start
        return record
    steps, times = steps_of(case), []
    for _ in range(repeats):
        start = time.process_time()
        if case in BUDGETS:
            record["sigma"] = subject.sigma(BUDGETS[case])
        else:
            record["lower"], record["upper"] = subject.interval(steps)
        times.append(time.process_time() - start)
        if sum(times) > 20.0:
            break
    record["cpu_seconds"], record["calls"] = statistics.median(times), len(times)
    record["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return record


def measured(library: str, case: str, repeats: int, timeout: float) -> dict[str, Any]:
    """One figure, from a process of its own."""
    command = [sys.executable, __file__, "--one", library, case, "--repeats", str(repeats)]
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, env={**os.environ, **one_thread}, check=False
        )
    except subprocess.TimeoutExpired:
        return {"library": library, "case": case, "failed": f"not finished in {timeout:g} s"}
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1][:120] if done.stderr.strip() else f"exit {done.returncode}"
        return {"library": library, "case": case, "failed": reason}
    return {"library": library, "case": case, **json.loads(done.stdout.splitlines()[-1])}


def row(record: dict[str, Any]) -> str:
    """A line of the table."""
    head = f"{record['case']:<15}{record['library']:<24}"
    if "failed" in record:
        return f"{head}{record['failed']}"
    result = ""
    if "upper" in record:
        lower = "-" if record["lower"] is None else f"{record['lower']:.6f}"
        result = f"[{lower}, {record['upper']:.6f}]"
    elif "sigma" in record:
        result = f"sigma {record['sigma']:.6f}"
    memory = f"{record['peak_memory_mb']:.0f} MB" if "peak_memory_mb" in record else ""
    return f"{head}{result:<28}{record['cpu_seconds']:>10.4f} s  {memory:>8}  {verdict(record)}"


def verdict(record: dict[str, Any]) -> str:
    """Whether this project's own goals are met."""
    if record["library"] != "privkd":
        return ""
    case, seconds = record["case"], record["cpu_seconds"]
    if case == "import":
        return "met" if seconds <= IMPORT_GOAL else f"missed: goal {IMPORT_GOAL} s"
    goal = GOALS[case][0] if case in GOALS else CALIBRATION_GOAL if case in BUDGETS else None
    missed = [f"{goal} s"] if goal is not None and seconds > goal else []
    if case in GOALS and record["upper"] - record["lower"] > GOALS[case][1]:
        missed.append(f"width {GOALS[case][1]:g}")
    if record.get("peak_memory_mb", 0.0) > MEMORY_GOAL:
        missed.append(f"{MEMORY_GOAL:g} MB")
    return f"missed: goal {', '.join(missed)}" if missed else "met" if goal is not None else ""


def main() -> None:
    """Measure, print one table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/accountants.json"), help="where to write the figures")
    parser.add_argument("--cases", nargs="*", choices=CASES, default=CASES, help="all by default")
    parser.add_argument("--libraries", nargs="*", choices=LIBRARIES, default=tuple(LIBRARIES), help="all by default")
    parser.add_argument("--repeats", type=int, default=5, help="calls per figure; fewer where they take over 20 s")
    parser.add_argument("--timeout", type=float, default=TIMEOUT, help="seconds of wall time per figure")
    parser.add_argument("--one", nargs=2, metavar=("LIBRARY", "CASE"), help="measure one figure here; used internally")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure_here(*options.one, repeats=options.repeats)))
        return
    records = []
    for case in options.cases:
        for library in options.libraries:
            if case in BUDGETS and not hasattr(LIBRARIES[library](), "sigma"):
                continue
            records.append(measured(library, case, options.repeats, options.timeout))
            print(row(records[-1]), flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"delta": DELTA, "python": sys.version, "records": records}, indent=1) + "\n")
    print(f"written: {options.out}")


if __name__ == "__main__":
    main()
