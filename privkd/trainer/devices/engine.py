"""Where a run happens: device, precision and processes. One process needs torch only; several go through accelerate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from privkd.errors import TrainingStopped
from privkd.trainer.devices.launched import process_count
from privkd.trainer.task import Task

PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@runtime_checkable
class Engine(Protocol):
    """What a run asks of the machine; with several processes, all of them call each method in the same order."""

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        ...

    @property
    def process(self) -> tuple[int, int]:
        """Rank of this process, and how many there are."""
        ...

    @property
    def checks_gradients(self) -> bool:
        """Whether gradients should be finite: with loss scaling they need not be."""
        ...

    def prepare(self, task: Task, *, wrapped: bool) -> None:
        """Replace the task's modules and optimisers by ones that work here.

        Args:
            task: its modules are on the device.
            wrapped: whether backward passes shall share gradients; otherwise weights are made equal everywhere, no more.
        """
        ...

    def autocast(self) -> AbstractContextManager[Any]:
        """Context in which losses are computed."""
        ...

    def backward(self, loss: Tensor, inputs: Sequence[Tensor] | None) -> None:
        """Add gradients of a loss; of these tensors only, if given."""
        ...

    def unscale(self, optimizer: Optimizer) -> None:
        """Take the scale of the losses out of its gradients; at most once before its step, and needed before they are clipped."""
        ...

    def step(self, optimizer: Optimizer, parameters: Sequence[Tensor], clip_norm: float | None) -> None:
        """Clip the gradients of the parameters together, if there is a norm, then step."""
        ...

    def whole(self) -> AbstractContextManager[Any]:
        """Context in which the modules and optimisers that `prepare` was given are up to date."""
        ...

    def release(self, *, failed: bool) -> None:
        """End what `prepare` began; modules and optimisers are up to date, unless the run failed."""
        ...

    def sum(self, value: Tensor) -> Tensor:
        """The sum of the values of all processes."""
        ...

    def shared(self, value: Tensor) -> Tensor:
        """The first process's value in all of them; same shape and dtype everywhere."""
        ...

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        ...

    def gathered(self, value: Any) -> list[Any]:
        """The values of all processes, in order of rank."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds of the engine: the scale of the losses in half precision."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        ...

    def gather(self, tensor: Tensor) -> Tensor:
        """Rows of all processes, in order of rank, without gradients; every process gives as many."""
        ...

    def close(self, *, failed: bool) -> None:
        """Let go of the run; the processes part when the program ends."""
        ...


class OneProcess:
    """A CPU or one accelerator, without accelerate.

    Args:
        device: where to run.
        precision: one of PRECISIONS; other than "fp32" on accelerators only.
    """

    def __init__(self, device: torch.device, precision: str) -> None:
        self.device, self.process = device, (0, 1)
        self._dtype = PRECISIONS[precision]
        self._scaler = torch.amp.GradScaler(device.type) if precision == "fp16" else None
        self.checks_gradients = self._scaler is None

    def prepare(self, task: Task, *, wrapped: bool) -> None:
        """Nothing to do."""

    def whole(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def release(self, *, failed: bool) -> None:
        """Nothing was replaced."""

    def autocast(self) -> AbstractContextManager[Any]:
        return nullcontext() if self._dtype is None else torch.autocast(self.device.type, dtype=self._dtype)

    def backward(self, loss: Tensor, inputs: Sequence[Tensor] | None) -> None:
        (self._scaler.scale(loss) if self._scaler else loss).backward(inputs=inputs)

    def unscale(self, optimizer: Optimizer) -> None:
        if self._scaler is not None:
            self._scaler.unscale_(optimizer)

    def step(self, optimizer: Optimizer, parameters: Sequence[Tensor], clip_norm: float | None) -> None:
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(parameters, clip_norm)  # with a scaler it may be infinite: no step is made then
        if self._scaler is None:
            optimizer.step()
        else:
            self._scaler.step(optimizer)
            self._scaler.update()

    def sum(self, value: Tensor) -> Tensor:
        return value

    def shared(self, value: Tensor) -> Tensor:
        return value

    def any(self, flag: bool) -> bool:
        return flag

    def gathered(self, value: Any) -> list[Any]:
        return [value]

    def state_dict(self) -> dict[str, Any]:
        return {} if self._scaler is None else self._scaler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self._scaler is not None:
            self._scaler.load_state_dict(state)

    def gather(self, tensor: Tensor) -> Tensor:
        return tensor.detach()

    def close(self, *, failed: bool) -> None:
        """Nothing to do."""


@contextmanager
def engine_for(device: str, precision: str, *, sharded: bool = False) -> Iterator[Engine]:
    """The engine of this process: accelerate where torchrun or mpirun started several, else `OneProcess`.

    Args:
        device: "auto" or a torch device name.
        precision: one of PRECISIONS.
        sharded: split weights and optimiser states over the processes; nothing to split in one.

    Raises:
        ValueError: half precision without an accelerator; one process where accelerate was asked for several.
    """
    place = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    if precision != "fp32" and torch.device(place).type == "cpu":
        raise ValueError(f"precision={precision!r} needs an accelerator, and there is none; on a CPU use 'fp32'")
    if process_count() > 1:
        from privkd.trainer.devices.accelerated import Accelerated

        engine: Engine = Accelerated(device, precision, sharded=sharded)
    else:
        engine = OneProcess(torch.device(place), precision)
    failed = True
    try:
        yield engine
        failed = False
    except TrainingStopped:
        failed = False  # all processes stop together
        raise
    finally:
        engine.close(failed=failed)
