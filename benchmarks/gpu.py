"""What the library does on an accelerator: training beside a loop written by hand, private steps, faces per second.

Needs torch, numpy, scipy and this checkout on the path, nothing else and no network: `make gpu` runs it after the tests that
need an accelerator. A part that fails is written down with its error, and the others run. Without an accelerator it says so
and measures the processor, which tells nothing about accelerators.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

# This folder goes behind the installed packages: accountants.py here would hide the package of that name.
sys.path.append(sys.path.pop(0))
if find_spec("jaxtyping") is None:  # it names shapes in annotations, and nobody evaluates them here
    sys.modules["jaxtyping"] = ModuleType("jaxtyping")
    vars(sys.modules["jaxtyping"]).update(dict.fromkeys(("Bool", "Float", "Float32", "Float64", "Int", "Int64"), tuple))

import torch
from torch import Tensor, nn
from torch.nn import functional

from privkd.metrics import measure_speed
from privkd.networks import LRNet16, fuse
from privkd.private_training import PrivateGradients
from privkd.trainer import Batch, Context, Task, Trainer, seeded


@dataclass(frozen=True)
class Size:
    """How much is measured: rows of data, rows per step, steps before and under the clock, rounds, width of the network."""

    rows: int
    batch: int
    warm: int
    steps: int
    rounds: int
    width: int


FULL, TINY = Size(8192, 512, 10, 60, 3, 64), Size(64, 8, 1, 2, 1, 4)


class Block(nn.Module):
    """Two convolutions and a way around them."""

    def __init__(self, inward: int, outward: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inward, outward, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(outward, outward, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(outward) for _ in range(2))
        self.around: nn.Module = nn.Identity()
        if stride > 1 or inward != outward:
            self.around = nn.Sequential(nn.Conv2d(inward, outward, 1, stride, bias=False), nn.BatchNorm2d(outward))

    def forward(self, x: Tensor) -> Tensor:
        """Features of the next block."""
        y = functional.relu(self.norms[0](self.first(x)))
        return functional.relu(self.norms[1](self.second(y)) + self.around(x))


def resnet18(width: int) -> nn.Module:
    """ResNet-18 for 32x32 images (He et al., arXiv 1512.03385): 11.2 million parameters at width 64."""
    with seeded(0):
        layers: list[nn.Module] = [nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        inward = width
        for depth in range(4):
            outward = width * 2**depth
            layers += [Block(inward, outward, 1 if depth == 0 else 2), Block(outward, outward, 1)]
            inward = outward
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inward, 10))


def small_cnn() -> nn.Module:
    """The network for 28x28 images of Papernot et al., arXiv 2007.14191: 26 010 parameters."""
    with seeded(0):
        return nn.Sequential(
            nn.Conv2d(1, 16, 8, stride=2, padding=3), nn.Tanh(), nn.MaxPool2d(2, stride=1),
            nn.Conv2d(16, 32, 4, stride=2), nn.Tanh(), nn.MaxPool2d(2, stride=1),
            nn.Flatten(), nn.Linear(512, 32), nn.Tanh(), nn.Linear(32, 10),
        )  # fmt: skip


def problem(rows: int, channels: int, side: int) -> tuple[Tensor, Tensor]:
    """Random images and labels."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(rows, channels, side, side, generator=generator)
    return images, torch.randint(0, 10, (rows,), generator=generator)


class Classifier(Task):
    """Cross-entropy, said record by record for private runs."""

    def __init__(self, net: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        super().__init__(modules={"net": net}, optimizers=[optimizer])

    def per_record(self, batch: Batch, context: Context) -> dict[str, Tensor]:
        """One loss of every record."""
        x, y = batch.tensors
        return {"cross-entropy": functional.cross_entropy(self.modules["net"](x), y, reduction="none")}


class Clock:
    """Seconds from one step of an optimiser to a later one, with the device waited for at both."""

    def __init__(self, optimizer: torch.optim.Optimizer, size: Size, device: torch.device) -> None:
        self._done, self._marks, self._device = 0, [], device
        self._at = (size.warm, size.warm + size.steps)
        optimizer.register_step_post_hook(self._stepped)

    def _stepped(self, *_: object) -> None:
        self._done += 1
        if self._done in self._at:
            wait(self._device)
            self._marks.append(time.perf_counter())

    def per_step(self) -> float:
        """Seconds per step."""
        start, end = self._marks
        return (end - start) / (self._at[1] - self._at[0])


def wait(device: torch.device) -> None:
    """Until the device has done what it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def by_trainer(net: nn.Module, data: tuple[Tensor, Tensor], size: Size, device: torch.device, **settings: Any) -> float:
    """Seconds per step of the trainer."""
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    clock = Clock(optimizer, size, device)
    trainer = Trainer(steps=size.warm + size.steps, batch_size=size.batch, device=str(device), **settings)
    trainer.run(Classifier(net, optimizer), data)
    return clock.per_step()


def by_hand(net: nn.Module, data: tuple[Tensor, Tensor], size: Size, device: torch.device, half: bool) -> float:
    """Seconds per step of the loop that one would write: data on the device, random order, no guards, no history."""
    net, (x, y) = net.to(device).train(), (part.to(device) for part in data)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    clock = Clock(optimizer, size, device)
    per_pass = len(x) // size.batch
    for step in range(size.warm + size.steps):
        if step % per_pass == 0:
            order = torch.randperm(len(x), device=device)
        index = order[step % per_pass * size.batch :][: size.batch]
        optimizer.zero_grad()
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
            loss = functional.cross_entropy(net(x[index]), y[index])
        loss.backward()
        optimizer.step()
    return clock.per_step()


def in_turns(size: Size, end: float, *ways: Callable[[], float]) -> list[float]:
    """Median seconds of each way; rounds stop when the time is over, but not before the first."""
    found = []
    while len(found) < size.rounds and (not found or time.monotonic() < end):
        found.append([way() for way in ways])
    return [statistics.median(column) for column in zip(*found, strict=True)]


def training(size: Size, device: torch.device, end: float) -> dict[str, Any]:
    """A step of ResNet-18 by the trainer beside one by hand; in bf16 on an accelerator."""
    data, half = problem(size.rows, 3, 32), device.type == "cuda"
    precision = "bf16" if half else "fp32"
    trainer, hand = in_turns(
        size,
        end,
        lambda: by_trainer(resnet18(size.width), data, size, device, precision=precision),
        lambda: by_hand(resnet18(size.width), data, size, device, half),
    )
    rates = {"trainer_images_per_s": size.batch / trainer, "by_hand_images_per_s": size.batch / hand}
    return {"precision": precision, "batch": size.batch, **rates, "trainer_over_by_hand": trainer / hand}


def private_step(size: Size, device: torch.device, end: float) -> dict[str, Any]:
    """A private step (clipped per record, with noise) beside a plain one of the same network, and the memory of both."""
    data, peaks = problem(size.rows, 1, 28), {}

    def way(name: str, privacy: PrivateGradients | None) -> float:
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
        seconds = by_trainer(small_cnn(), data, size, device, privacy=privacy)
        peaks[f"{name}_peak_bytes"] = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
        return seconds

    private = PrivateGradients(multiplier=1.0, delta=1e-5)
    ours, plain = in_turns(size, end, lambda: way("private", private), lambda: way("plain", None))
    seconds = {"private_s": ours, "plain_s": plain, "private_over_plain": ours / plain}
    return {"batch": size.batch, **seconds, **peaks}


def faces(size: Size, device: torch.device, end: float) -> dict[str, Any]:
    """16x16 faces per second of the network that bridge distillation deploys, as it is and fused."""
    example, repeats = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0)), 15 if size is TINY else 200
    found: dict[str, Any] = {"repeats": repeats}
    for name, change in (("fused", fuse), ("as_trained", lambda net: net)):
        net = change(LRNet16().eval()).to(device)
        report = measure_speed(net, example.to(device), batches=(1, 64), repeats=repeats)
        found |= {f"{name}_batch_{rows}_per_s": speed for rows, speed in report.rows_per_second.items()}
    return found


PARTS = {"training": (training, 60.0), "private step": (private_step, 60.0), "faces": (faces, 20.0)}
"""Each part, and the seconds that must be left for it to begin."""


def measured(part: Callable[..., dict[str, Any]], size: Size, device: torch.device, end: float) -> dict[str, Any]:
    """What a part gives, or why it failed; with its seconds."""
    start = time.monotonic()
    try:
        found = part(size, device, end)
    except Exception as error:  # noqa: BLE001  the other parts shall run
        found = {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()[-2000:]}
    return {**found, "wall_s": round(time.monotonic() - start, 2)}


def machine(device: torch.device) -> dict[str, Any]:
    """Where this runs."""
    is_gpu = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if is_gpu else f"CPU ({platform.machine()}), no accelerator"
    versions = {"torch": torch.__version__, "cuda": torch.version.cuda, "python": platform.python_version()}
    return {"device": device.type, "name": name, **versions, "threads": torch.get_num_threads()}


def main() -> int:
    """Measure, print, write JSON after every part; 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/gpu.json"))
    parser.add_argument("--budget", type=float, default=480.0, help="seconds; a part that does not fit is left out")
    parser.add_argument("--tiny", action="store_true", help="a few seconds on one core, to try the script itself")
    options = parser.parse_args()
    begun = time.monotonic()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    size = TINY if options.tiny or device.type == "cpu" else FULL
    result = {"machine": machine(device), "size": "tiny" if size is TINY else "full", "parts": {}}
    print(f"device: {result['machine']['name']}, torch {torch.__version__}, {result['size']} sizes", flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    for name, (part, needed) in PARTS.items():
        end = begun + options.budget
        if time.monotonic() + (0.0 if size is TINY else needed) > end:
            found = {"skipped": f"{needed:.0f} s are needed, {max(0.0, end - time.monotonic()):.0f} s are left"}
        else:
            found = measured(part, size, device, end)
        result["parts"][name] = found
        print(f"{name}: {json.dumps({key: value for key, value in found.items() if key != 'traceback'})}", flush=True)
        options.out.write_text(json.dumps({**result, "wall_s": round(time.monotonic() - begun, 2)}, indent=2))
    print(f"written: {options.out}")
    return int(any("error" in found for found in result["parts"].values()))


if __name__ == "__main__":
    sys.exit(main())
