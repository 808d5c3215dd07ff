"""What the training engine costs: steps and data path beside loops written by hand.

Every figure is the median over rounds in which all ways take turns, so that a busy machine slows them alike.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

# This folder goes behind the installed packages: accountants.py here would hide the package of that name.
sys.path.append(sys.path.pop(0))

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from privkd.trainer import Task, Trainer, seeded
from privkd.trainer.batch import numbered
from privkd.trainer.batches.arrays import ArrayBatches
from privkd.trainer.batches.order import Order

BATCH = 128


def cnn(side: int) -> nn.Module:
    """About 200 000 parameters."""
    flat = 32 * (side // 4) ** 2
    hidden = 190_000 // (flat + 11)
    with seeded(0):
        return nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(flat, hidden), nn.ReLU(), nn.Linear(hidden, 10),
        )  # fmt: skip


def problem(side: int, rows: int) -> tuple[Tensor, Tensor]:
    """Random images and labels."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(rows, 1, side, side, generator=generator), torch.randint(0, 10, (rows,), generator=generator)


class Classifier(Task):
    """Cross-entropy with SGD."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__(modules={"net": net}, optimizers=[torch.optim.SGD(net.parameters(), lr=0.05)])

    def step(self, batch, context):
        """One loss."""
        x, y = batch.tensors
        return {"cross-entropy": functional.cross_entropy(self.modules["net"](x), y)}


class Empty(Task):
    """One parameter, next to no work: what is left is the engine."""

    def __init__(self) -> None:
        self.weight = nn.Parameter(torch.zeros(1))
        holder = nn.Module()
        holder.register_parameter("weight", self.weight)
        super().__init__(modules={"net": holder}, optimizers=[torch.optim.SGD([self.weight], lr=0.0)])

    def step(self, batch, context):
        """The parameter itself."""
        return {"nothing": self.weight.sum()}


def by_engine(side: int, steps: int) -> float:
    """Seconds per step of the trainer."""
    net, data = cnn(side), problem(side, 4096)
    task = Classifier(net)
    Trainer(steps=3, batch_size=BATCH, device="cpu", records=1).run(task, data)
    start = time.perf_counter()
    Trainer(steps=steps, batch_size=BATCH, device="cpu").run(task, data)
    return (time.perf_counter() - start) / steps


def by_hand(side: int, steps: int) -> float:
    """Seconds per step of the loop that one would write: random order, one index operation, no guards, no history."""
    net, (x, y) = cnn(side), problem(side, 4096)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    net.train()

    def run(count: int) -> None:
        for step in range(count):
            if step % (len(x) // BATCH) == 0:
                order = torch.randperm(len(x))
            index = order[(step % 32) * BATCH : (step % 32 + 1) * BATCH]
            optimizer.zero_grad()
            functional.cross_entropy(net(x[index]), y[index]).backward()
            optimizer.step()

    run(3)
    start = time.perf_counter()
    run(steps)
    return (time.perf_counter() - start) / steps


def by_accelerate(side: int, steps: int) -> float:
    """Seconds per step of the loop that accelerate's examples show, with a DataLoader."""
    from accelerate import Accelerator

    net, data = cnn(side), problem(side, 4096)
    accelerator = Accelerator(cpu=True)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    loader = DataLoader(TensorDataset(*data), batch_size=BATCH, shuffle=True, drop_last=True)
    net, optimizer, loader = accelerator.prepare(net, optimizer, loader)
    return _timed_loop(net, optimizer, loader, accelerator.backward, steps)


def by_fabric(side: int, steps: int) -> float:
    """The same with Lightning Fabric."""
    from lightning_fabric import Fabric

    net, data = cnn(side), problem(side, 4096)
    fabric = Fabric(accelerator="cpu", devices=1)
    net, optimizer = fabric.setup(net, torch.optim.SGD(net.parameters(), lr=0.05))
    loader = DataLoader(TensorDataset(*data), batch_size=BATCH, shuffle=True, drop_last=True)
    return _timed_loop(net, optimizer, fabric.setup_dataloaders(loader), fabric.backward, steps)


def _timed_loop(net: nn.Module, optimizer, loader, backward, steps: int) -> float:
    def run(count: int) -> None:
        done = 0
        while done < count:
            for x, y in loader:
                optimizer.zero_grad()
                backward(functional.cross_entropy(net(x), y))
                optimizer.step()
                done += 1
                if done == count:
                    return

    net.train()
    run(3)
    start = time.perf_counter()
    run(steps)
    return (time.perf_counter() - start) / steps


def empty_by_engine(steps: int) -> float:
    """Seconds per empty step."""
    task = Empty()
    start = time.perf_counter()
    Trainer(steps=steps, device="cpu").run(task)
    return (time.perf_counter() - start) / steps


def empty_by_hand(steps: int) -> float:
    """The same without an engine."""
    task = Empty()
    (optimizer,) = task.optimizers.values()
    start = time.perf_counter()
    for _ in range(steps):
        optimizer.zero_grad()
        task.weight.sum().backward()
        optimizer.step()
    return (time.perf_counter() - start) / steps


def batches_of_arrays(passes: int) -> float:
    """Seconds per pass over 60 000 images of 28x28."""
    batches = ArrayBatches(numbered(problem(28, 60_000)), lambda rows: Order(rows, BATCH, 0))
    start = time.perf_counter()
    for step in range(passes * batches.steps_per_epoch):
        batches.at(step)
    return (time.perf_counter() - start) / passes


def batches_of_a_loader(passes: int) -> float:
    """The same with torch's default DataLoader."""
    loader = DataLoader(TensorDataset(*problem(28, 60_000)), batch_size=BATCH, shuffle=True, drop_last=True)
    start = time.perf_counter()
    for _ in range(passes):
        for _ in loader:
            pass
    return (time.perf_counter() - start) / passes


def turns(rounds: int, *ways: Callable[[], float]) -> list[float]:
    """Median seconds of each way."""
    found = [[way() for way in ways] for _ in range(rounds)]
    return [statistics.median(column) for column in zip(*found, strict=True)]


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/trainer.json"))
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []

    def report(case: str, engine: float, hand: float, goal: str, met: bool) -> None:
        rows.append({"case": case, "engine_s": engine, "reference_s": hand, "goal": goal, "met": met})
        print(f"{case:32} {1e6 * engine:12.1f} us {1e6 * hand:12.1f} us   {goal:32} {'met' if met else 'MISSED'}")

    print(f"{'case':32} {'trainer':>15} {'reference':>15}")
    for side, steps in ((8, 200), (28, 40)):
        engine, hand = turns(
            options.rounds, lambda s=side, n=steps: by_engine(s, n), lambda s=side, n=steps: by_hand(s, n)
        )
        report(f"CNN {side}x{side}, batch 128, per step", engine, hand, "at most 3 % more", engine <= 1.03 * hand)
    for name, module, way in (("accelerate", "accelerate", by_accelerate), ("Fabric", "lightning_fabric", by_fabric)):
        if find_spec(module) is None:
            print(f"{name}'s example loop: {module} is not installed")
            continue
        engine, other = turns(options.rounds, lambda: by_engine(8, 200), lambda one=way: one(8, 200))
        report(f"CNN 8x8 beside {name}'s loop", engine, other, "not slower", engine <= other)
    engine, hand = turns(options.rounds, lambda: empty_by_engine(3000), lambda: empty_by_hand(3000))
    report("empty step", engine, hand, "at most 25 us more", engine - hand <= 25e-6)
    engine, hand = turns(max(1, options.rounds // 3), lambda: batches_of_arrays(1), lambda: batches_of_a_loader(1))
    report("one pass over 60 000 x 28x28", engine, hand, "5 times faster than a DataLoader", 5.0 * engine <= hand)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    machine = {"torch": torch.__version__, "python": platform.python_version(), "threads": 1, "device": "cpu"}
    options.out.write_text(json.dumps({"machine": machine, "rows": rows}, indent=2))
    print(f"written: {options.out}")


if __name__ == "__main__":
    main()
