"""Size and speed of a network: parameters, bytes, memory of its widest layer, and rows per second. The one metric with torch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from accountants import check

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class SpeedReport:
    """What a network costs on one device.

    Attributes:
        parameters: numbers that are learned, shared ones once.
        state_bytes: bytes of its state (parameters and buffers), shared ones once.
        peak_activation_bytes: of one row: input and output of the layer where they are largest together.
        rows_per_second: by batch size; batch size over the median time of a pass.
        threads: of the processor that torch may use.
        device: name of the device, such as "cpu" or "cuda:0".
        repeats: timed passes per batch size.
    """

    parameters: int
    state_bytes: int
    peak_activation_bytes: int
    rows_per_second: dict[int, float]
    threads: int
    device: str
    repeats: int


def measure_speed(
    module: nn.Module,
    example: Tensor,
    *,
    batches: Sequence[int] = (1, 64),
    warm_up: int = 5,
    repeats: int = 15,
) -> SpeedReport:
    """The size and speed of a module in evaluation mode, without gradients; it keeps its mode, weights and device.

    Times are of the wall clock, with the device waited for. They depend on what else the machine does: compare figures of
    one run only.

    Args:
        module: takes a batch of rows.
        example: one row, without the axis of the batch; on the device of the module.
        batches: batch sizes, each >= 1; the row is repeated.
        warm_up: passes before the clock starts, >= 1.
        repeats: timed passes, >= 15, of which the median counts.

    Raises:
        TypeError: not a module or not a tensor.
        ValueError: an empty example, no batch size, or too few passes.
    """
    import torch
    from torch import nn

    if not isinstance(module, nn.Module) or not isinstance(example, torch.Tensor):
        raise TypeError(
            f"a torch module and a tensor are needed, not {type(module).__name__} and {type(example).__name__}"
        )
    if not example.numel() or not batches:
        raise ValueError("example must hold one row and batches at least one size")
    check.integer(warm_up=warm_up, at_least=1)
    check.integer(repeats=repeats, at_least=15)
    check.integer(**{f"batch_{i}": size for i, size in enumerate(batches)}, at_least=1)
    from privkd.networks.prediction import eval_mode

    with eval_mode(module), torch.no_grad():
        peak = _peak_activation_bytes(module, example[None])
        speeds = {}
        for size in batches:
            rows = example.expand(size, *example.shape).contiguous()
            speeds[int(size)] = size / _seconds(lambda rows=rows: module(rows), example, warm_up, repeats)
    return SpeedReport(
        parameters=sum(weight.numel() for weight in module.parameters()),
        state_bytes=_state_bytes(module),
        peak_activation_bytes=peak,
        rows_per_second=speeds,
        threads=torch.get_num_threads(),
        device=str(example.device),
        repeats=repeats,
    )


def _seconds(run: Callable[[], Any], example: Tensor, warm_up: int, repeats: int) -> float:
    """The median time of a pass; accelerators answer before they have finished, so they are waited for."""
    import torch

    def wait() -> None:
        if example.device.type == "cuda":
            torch.cuda.synchronize(example.device)

    for _ in range(warm_up):
        run()
    times = []
    for _ in range(repeats):
        wait()
        began = time.perf_counter()
        run()
        wait()
        times.append(time.perf_counter() - began)
    return median(times)


def _peak_activation_bytes(module: nn.Module, batch: Tensor) -> int:
    """The largest sum of input and output bytes of a layer without layers inside; of the module itself if it has none."""
    largest = 0

    def record(_: nn.Module, inputs: tuple[Any, ...], outputs: Any) -> None:
        nonlocal largest
        largest = max(largest, _bytes(inputs) + _bytes(outputs))

    layers = [layer for layer in module.modules() if not list(layer.children())]
    hooks = [layer.register_forward_hook(record) for layer in layers]
    try:
        module(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return largest


def _bytes(values: Any) -> int:
    import torch

    if isinstance(values, torch.Tensor):
        return values.numel() * values.element_size()
    if isinstance(values, dict):
        return sum(map(_bytes, values.values()))
    return sum(map(_bytes, values)) if isinstance(values, tuple | list) else 0


def _state_bytes(module: nn.Module) -> int:
    import torch

    tensors = [value for value in module.state_dict().values() if isinstance(value, torch.Tensor)]
    return sum({(value.data_ptr(), value.numel()): value.numel() * value.element_size() for value in tensors}.values())
