"""Accuracy of training with a guarantee for each record, on three image sets; and what private steps cost.

Usage:  python benchmarks/private_training.py --data mnist fashion cifar --epsilon 1 3 --seeds 3
        python benchmarks/private_training.py --speed
Takes:  features once, about 1 minute (MNIST, Fashion-MNIST) or 4 (CIFAR-10), then half a minute or two per run.
Needs:  mnist.npz, fashion_mnist.npz, cifar10_jpeg.npz in --shared; sets whose file is absent are skipped.
Writes: records.jsonl, one line per run, and table.md; a run that has a record already is skipped. With --speed:
        speed.json.

Protocol: record level, add-remove, delta = 1e-5, Poisson batches, noise from the operating system. Features are fixed
functions of single images (deslanting for MNIST, then scattering, square root). Their mean and the covariance of their
channels are released with noise, and softmax regression on the whitened features is trained with noisy clipped
gradients. All three releases are charged to one ledger; epsilon is that of its certificate. Accuracy is that of the
moving average of the weights on the 10000 test records, mean and standard deviation over runs, each with its own noise
everywhere: a run cannot be repeated exactly, and its number only tells it apart. Settings were chosen on the last 10000
training records, which is not part of epsilon. CIFAR-10 is a JPEG copy of the set, so its figures are not quite those
of the original.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# This folder goes behind the installed packages: accountants.py here would hide the package of that name.
sys.path.append(sys.path.pop(0))

import torch
from private_training_features import FILES, Features, features
from private_training_pipeline import SETTINGS, multiplier, run
from private_training_speed import WAYS, compare, measure
from recording import Case, append_record, measured, read_records

from privkd.mechanisms import SystemNoise

ROOT = Path(__file__).resolve().parents[1]
TITLES = {"mnist": "MNIST", "fashion": "Fashion-MNIST", "cifar": "CIFAR-10 (JPEG)"}


def outcome(case: Case, found: Features, threads: int) -> dict[str, Any]:
    """Test accuracy, settings and certificate of a run."""
    if case.epsilon is None:
        raise ValueError("epsilon=None: every run of this benchmark has a guarantee")
    settings = SETTINGS[case.method, case.epsilon]
    sigma = multiplier(settings, case.epsilon, found.training)
    made = run(found.values, found.labels, found.training, settings, sigma=sigma, noise=SystemNoise(), threads=threads)
    proven = made.certificate.verify().upper
    if not proven <= case.epsilon:
        raise RuntimeError(f"the ledger proves epsilon={proven}, which is more than {case.epsilon}")
    return {
        "accuracy": made.accuracy,
        "proven_epsilon": proven,
        "multiplier": sigma,
        "feature_seconds": round(found.seconds, 1),
        "config": repr(settings),
        "certificate": made.certificate.to_dict(),
    }


def table(records: Sequence[dict[str, Any]]) -> str:
    """Markdown: a row per set and epsilon."""
    lines = [
        "| data | epsilon asked | epsilon proven | test accuracy, % | runs | features, s | a run after them, s |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, epsilon in SETTINGS:
        found = [one for one in records if (one["method"], one["epsilon"]) == (name, epsilon)]
        if not found:
            continue
        scores = [100.0 * one["accuracy"] for one in found]
        spread = f" ± {statistics.stdev(scores):.2f}" if len(scores) > 1 else ""
        proven = max(one["proven_epsilon"] for one in found)
        wall = statistics.median(one["wall_seconds"] for one in found)
        lines.append(
            f"| {TITLES[name]} | {epsilon:g} | {proven:.4f} | {statistics.mean(scores):.2f}{spread} | {len(found)} | "
            f"{found[0]['feature_seconds']:.0f} | {wall:.0f} |"
        )
    lines += [
        "",
        "Mean ± standard deviation over runs; 10000 test records, δ = 1e-05, add-remove; epsilon is that of one run.",
    ]
    return "\n".join(lines) + "\n"


def accuracies(asked: argparse.Namespace) -> None:
    """Run the cases that have no record yet, then print the table."""
    file = asked.out / "records.jsonl"
    records = read_records(file)
    for name in asked.data:
        cases = [Case(name, epsilon, seed) for epsilon in asked.epsilon for seed in range(asked.seeds)]
        cases = [case for case in cases if not any(case.is_in(record) for record in records)]
        source = asked.shared / FILES[name]
        if not cases:
            continue
        if not source.is_file():
            print(f"{TITLES[name]} is skipped: {FILES[name]} is absent from {asked.shared}")
            continue
        found = features(name, source, asked.features)
        for case in cases:
            record = measured(case, lambda case=case, found=found: outcome(case, found, asked.threads))
            append_record(file, record)
            records.append(record)
            print(f"{name} epsilon={case.epsilon:g} run {case.seed}: {100.0 * record['accuracy']:.2f} %", flush=True)
    text = table(records)
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "table.md").write_text(text, encoding="utf-8")
    print(text)


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=list(FILES), choices=list(FILES))
    parser.add_argument("--epsilon", type=float, nargs="+", default=[1.0, 3.0], choices=[1.0, 3.0], help="nats")
    parser.add_argument("--seeds", type=int, default=3, help="number of runs")
    parser.add_argument("--threads", type=int, default=2)
    shared = Path(os.environ.get("PRIVKD_SHARED", ROOT.parent / "shared")) / "data"
    parser.add_argument("--shared", type=Path, default=shared, help="folder of the data sets")
    parser.add_argument("--features", type=Path, default=ROOT / "results" / "features", help="folder that keeps them")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "private_training", help="records and tables")
    parser.add_argument("--speed", action="store_true", help="time and memory of private steps instead of accuracy")
    parser.add_argument("--rounds", type=int, default=5, help="of --speed, in which all ways take turns")
    parser.add_argument(
        "--only", nargs=3, metavar=("WAY", "MODEL", "SEED"), help=f"of --speed, in this process: {list(WAYS)}"
    )
    asked = parser.parse_args()
    if asked.only:
        torch.set_num_threads(1)
        print(measure(*asked.only))
    elif asked.speed:
        compare(Path(__file__), asked.rounds, asked.out / "speed.json")
    else:
        torch.set_num_threads(asked.threads)
        accuracies(asked)


if __name__ == "__main__":
    main()
