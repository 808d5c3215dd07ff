"""What private steps cost beside opacus: time, memory, and the accuracy that both reach at one epsilon.

Every measurement is a process of its own, and all ways take turns, so that a busy machine slows them alike. A step is
all from one optimiser step to the next: drawing the batch, clipped gradients, noise and update.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import TensorDataset

from accountants import Gaussian, epsilon
from privkd.mechanisms import SystemNoise
from privkd.private_training import PrivateGradients
from privkd.trainer import Batch, Context, Task, Trainer, seeded

BATCH, SIGMA, CLIP, RATE, DELTA = 128, 1.0, 1.0, 0.5, 1e-5
_WARM = 10  # steps before the clock


def _small() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


def _large() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(1024, 181), nn.ReLU(), nn.Linear(181, 10),
    )  # fmt: skip


def _published() -> nn.Module:
    """The network for 28x28 images of Papernot et al., arXiv 2007.14191: 26 010 parameters."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 8, stride=2, padding=3), nn.Tanh(), nn.MaxPool2d(2, stride=1),
        nn.Conv2d(16, 32, 4, stride=2), nn.Tanh(), nn.MaxPool2d(2, stride=1),
        nn.Flatten(), nn.Linear(512, 32), nn.Tanh(), nn.Linear(32, 10),
    )  # fmt: skip


MODELS = {"38k-8x8": (_small, 8, 220), "206k-8x8": (_large, 8, 220), "26k-28x28": (_published, 28, 220)}
"""Network, side of the images, steps: 20 passes over the digits, or a part of one over as many random images as MNIST has."""

Problem = tuple[Tensor, Tensor, Tensor, Tensor]


def problem(side: int, seed: int) -> Problem:
    """Training images and labels, test images and labels; random ones where the side is not that of the digits."""
    if side == 8:
        images, labels = load_digits(return_X_y=True)
        parts = train_test_split(images / 16.0, labels, test_size=0.2, random_state=seed, stratify=labels)
        x, x_test, y, y_test = (torch.from_numpy(part) for part in parts)
        return x.float().reshape(-1, 1, 8, 8), y.long(), x_test.float().reshape(-1, 1, 8, 8), y_test.long()
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.rand(60_000, 1, side, side, generator=generator), torch.randint(0, 10, (60_000,), generator=generator)
    return x, y, x[:100], y[:100]


class _Clock:
    """When an optimiser stepped."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._times: list[float] = []
        optimizer.register_step_post_hook(lambda *_: self._times.append(time.perf_counter()))

    def milliseconds(self) -> tuple[float, float]:
        """Mean and median per step after the first ones; the steps that check records again count in the mean alone."""
        steps = [1e3 * (after - before) for before, after in pairwise(self._times[_WARM:])]
        return statistics.mean(steps), statistics.median(steps)


class _Classifier(Task):
    def __init__(self, net: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        super().__init__(modules={"net": net}, optimizers=[optimizer])

    def per_record(self, batch: Batch, context: Context) -> dict[str, Tensor]:
        x, y = batch.tensors
        return {"loss": functional.cross_entropy(self.modules["net"](x), y, reduction="none")}


def _ours(strategy: str | None) -> Callable[..., None]:
    def train(net: nn.Module, optimizer: torch.optim.Optimizer, data: Problem, steps: int) -> None:
        privacy = None
        if strategy is not None:
            privacy = PrivateGradients(multiplier=SIGMA, delta=DELTA, clip=CLIP, strategy=strategy)
        trainer = Trainer(steps=steps, batch_size=BATCH, privacy=privacy, device="cpu")
        trainer.run(_Classifier(net, optimizer), data[:2])

    return train


def _batches(data: Problem, steps: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The loader of opacus, for as many steps as we make."""
    from opacus.data_loader import DPDataLoader

    loader = DPDataLoader(TensorDataset(*data[:2]), sample_rate=BATCH / len(data[0]))
    done = 0
    while done < steps:
        for batch in loader:
            if done == steps:
                return
            done += 1
            yield batch


def _opacus_hooks(net: nn.Module, optimizer: torch.optim.Optimizer, data: Problem, steps: int) -> None:
    from opacus.grad_sample import GradSampleModule
    from opacus.optimizers import DPOptimizer

    model = GradSampleModule(net)
    private = DPOptimizer(optimizer, noise_multiplier=SIGMA, max_grad_norm=CLIP, expected_batch_size=BATCH)
    model.train()
    for x, y in _batches(data, steps):
        private.zero_grad()
        functional.cross_entropy(model(x), y).backward()
        private.step()


def _opacus_ghost(net: nn.Module, optimizer: torch.optim.Optimizer, data: Problem, steps: int) -> None:
    from opacus.grad_sample import GradSampleModuleFastGradientClipping
    from opacus.optimizers.optimizer_fast_gradient_clipping import DPOptimizerFastGradientClipping
    from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping

    model = GradSampleModuleFastGradientClipping(net, max_grad_norm=CLIP)
    private = DPOptimizerFastGradientClipping(
        optimizer, noise_multiplier=SIGMA, max_grad_norm=CLIP, expected_batch_size=BATCH
    )
    loss = DPLossFastGradientClipping(model, private, nn.CrossEntropyLoss())
    model.train()
    for x, y in _batches(data, steps):
        private.zero_grad()
        loss(model(x), y).backward()
        private.step()


WAYS: dict[str, Callable[..., None]] = {
    "plain": _ours(None),
    "ghost": _ours("ghost"),
    "vmap": _ours("vmap"),
    "opacus-hooks": _opacus_hooks,
    "opacus-ghost": _opacus_ghost,
}


def _noise(numbers: int) -> float:
    """Milliseconds to draw so many numbers."""
    times = []
    for _ in range(9):
        start = time.perf_counter()
        SystemNoise().normal((numbers,), std=1.0)
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def measure(way: str, model: str, seed: str = "0") -> str:
    """Train once in this process; JSON with ms per step, peak memory in MB (and that before training) and accuracy.

    `ms` is the mean over all steps, `middle_ms` the median: what a long run comes to, where repeated checks are rare.

    `noise_ms` is what our noise takes of a step: 64 bits from the operating system per number, where opacus draws from
    torch's generator. It is 0 where there is none of it.
    """
    make, side, steps = MODELS[model]
    data = problem(side, int(seed))
    with seeded(int(seed)):
        net = make()
        optimizer = torch.optim.SGD(net.parameters(), lr=RATE)
    clock, before = _Clock(optimizer), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    WAYS[way](net, optimizer, data, steps)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    drawn = _noise(sum(p.numel() for p in net.parameters())) if way in ("ghost", "vmap") else 0.0
    mean, middle = clock.milliseconds()
    memory = {"peak_mb": peak / 1024, "before_mb": before / 1024}
    found = {"ms": mean, "middle_ms": middle, "noise_ms": drawn, **memory}
    if side == 8:
        net.eval()
        with torch.no_grad():
            found["accuracy"] = float((net(data[2]).argmax(dim=1) == data[3]).double().mean())
    return json.dumps(found)


def _output(command: list[str]) -> str:
    """What a process of its own prints; where it fails, what it says of that.

    Raises:
        RuntimeError: it ended with another code than 0; the message has its error output.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(command[1:])} ended with exit code {done.returncode}:\n{done.stderr or done.stdout}"
        )
    return done.stdout


def compare(script: Path, rounds: int, out: Path) -> None:
    """Measure all ways and models in processes of their own, print a table, write JSON."""
    ways = [way for way in WAYS if not way.startswith("opacus") or find_spec("opacus")]
    if len(ways) < len(WAYS):
        print("opacus is not installed: its rows are left out")
    rows: list[dict[str, Any]] = []
    rate = BATCH / 1437
    proven = epsilon(Gaussian(SIGMA).poisson(rate) * 220, DELTA, adjacency="add-remove").upper
    columns = {
        "ms": "ms/step",
        "middle_ms": "median",
        "noise_ms": "of noise",
        "peak_mb": "peak MB",
        "before_mb": "before",
    }
    print(f"{'model':10} {'way':13}", *(f"{title:>8}" for title in columns.values()), f"{'accuracy':>16}")
    for model in MODELS:
        found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
        for seed in range(rounds):
            for way in ways:
                command = [sys.executable, str(script), "--only", way, model, str(seed)]
                found[way].append(json.loads(_output(command).splitlines()[-1]))
        for way, runs in found.items():
            middle = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
            scores = [run["accuracy"] for run in runs if "accuracy" in run]
            shown = f"{statistics.mean(scores):.3f}" if scores else "-"
            shown += f" ± {statistics.stdev(scores):.3f}" if len(scores) > 1 else ""
            rows.append({"model": model, "way": way, **middle, "runs": runs})
            figures = (f"{middle[name]:8.2f}" for name in columns)
            print(f"{model:10} {way:13}", *figures, f"{shown:>16}", flush=True)
    print(
        f"Medians of {rounds} runs. Digits: 220 steps of {BATCH} of 1437 on average, sigma {SIGMA:g}: epsilon {proven:.3f}"
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    setting = {"batch": BATCH, "sigma": SIGMA, "clip": CLIP, "rate": RATE, "epsilon_digits": proven, "threads": 1}
    out.write_text(json.dumps({"torch": torch.__version__, "setting": setting, "rows": rows}, indent=2))
    print(f"written: {out}")
