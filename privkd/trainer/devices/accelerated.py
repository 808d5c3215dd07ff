"""Several processes, through accelerate: the only file that knows it."""

from __future__ import annotations

import atexit
import gc
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
from accelerate.utils import gather_object, get_cpu_distributed_information
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.optim import Optimizer

from privkd.trainer.devices.fsdp import Shards
from privkd.trainer.task import Task


class Accelerated:
    """The engine of several processes, as torchrun or mpirun starts them: each has all weights (DDP), or a part of them (FSDP).

    Args:
        device: "auto" or "cpu".
        precision: "fp32", "bf16" or "fp16".
        sharded: whether weights are split.
    """

    def __init__(self, device: str, precision: str, *, sharded: bool) -> None:
        _name_processes()
        self._accelerator = Accelerator(
            cpu=device == "cpu" or not torch.cuda.is_available(),
            mixed_precision="no" if precision == "fp32" else precision,
        )
        self.device = self._accelerator.device
        self.checks_gradients = precision != "fp16"
        self.process = (self._accelerator.process_index, self._accelerator.num_processes)
        self._sharded = sharded
        self._shards: Shards | None = None

    def prepare(self, task: Task, *, wrapped: bool) -> None:
        """Wrap every module and optimiser; `Task.modules` then holds the wrappers."""
        if not wrapped:
            for module in task.modules.values():
                for tensor in module.state_dict().values():
                    tensor.copy_(self.shared(tensor))
            return
        if self._sharded:
            self._shards = Shards(task, init_device_mesh(self.device.type, (self.process[1],)))
            return
        for name, module in task.modules.items():
            task.modules[name] = self._accelerator.prepare_model(module)
        for name, optimizer in task.optimizers.items():
            task.optimizers[name] = self._accelerator.prepare_optimizer(optimizer)

    def whole(self) -> AbstractContextManager[Any]:
        """Parts are put together; wrappers share their tensors with what they wrap."""
        return nullcontext() if self._shards is None else self._shards.whole()

    def release(self, *, failed: bool) -> None:
        """Put back what `prepare` replaced; after a failure without its weights."""
        if self._shards is not None:
            (self._shards.abandon if failed else self._shards.finish)()
        self._shards = None

    def autocast(self) -> AbstractContextManager[Any]:
        return self._accelerator.autocast()

    def backward(self, loss: Tensor, inputs: Sequence[Tensor] | None) -> None:
        """Gradients that no optimiser of the update owns are dropped before its own next update."""
        self._accelerator.backward(loss)

    def unscale(self, optimizer: Optimizer) -> None:
        self._accelerator.unscale_gradients(optimizer)

    def step(self, optimizer: Optimizer, parameters: Sequence[Tensor], clip_norm: float | None) -> None:
        if clip_norm is not None and not self.checks_gradients:
            nn.utils.clip_grad_norm_(parameters, clip_norm)  # accelerate would take the scale out once more
        elif clip_norm is not None:
            self._accelerator.clip_grad_norm_(parameters, clip_norm)
        optimizer.step()

    def sum(self, value: Tensor) -> Tensor:
        return self._accelerator.reduce(value.detach().clone(), reduction="sum")  # type: ignore[return-value]

    def shared(self, value: Tensor) -> Tensor:
        there = value.detach().to(self.device).contiguous().clone()
        torch.distributed.broadcast(there, src=0)
        return there.to(value.device)

    def any(self, flag: bool) -> bool:
        raised = torch.tensor([float(flag)], device=self.device)
        return float(self._accelerator.reduce(raised, reduction="sum")) > 0  # type: ignore[arg-type]

    def gathered(self, value: Any) -> list[Any]:
        return gather_object([value])

    def state_dict(self) -> dict[str, Any]:
        scaler = self._accelerator.scaler
        return {} if scaler is None else scaler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self._accelerator.scaler is not None:
            self._accelerator.scaler.load_state_dict(state)

    def gather(self, tensor: Tensor) -> Tensor:
        return self._accelerator.gather(tensor.detach())  # type: ignore[return-value]

    def close(self, *, failed: bool) -> None:
        """Free what holds the processes together before they part; otherwise a CPU run in six aborts at its exit."""
        self._accelerator.free_memory()
        gc.collect()
        atexit.unregister(_part)
        if not failed:  # one that failed would wait for others, which wait for it
            atexit.register(_part)


def _name_processes() -> None:
    """Say in torchrun's words who this process is: accelerate takes mpirun's on CPUs only, and torch never."""
    found = get_cpu_distributed_information()
    words: dict[str, object] = {
        "RANK": found.rank,
        "WORLD_SIZE": found.world_size,
        "LOCAL_RANK": found.local_rank,
        "LOCAL_WORLD_SIZE": found.local_world_size,
        "MASTER_PORT": 29500,
    }
    if found.local_world_size == found.world_size:  # one machine; of several, torch asks for the address
        words["MASTER_ADDR"] = "127.0.0.1"
    for name, value in words.items():
        os.environ.setdefault(name, str(value))


def _part() -> None:
    """Leave together, when the last run of this program is over."""
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


class Trackers:
    """Services that show runs as they go, beside `metrics.jsonl`; for the first process.

    Args:
        names: as accelerate knows them, for example "tensorboard", "wandb", "mlflow".
        folder: of the run; services that write files do so in it.
        settings: of the run, plain values; nothing of its data.
    """

    def __init__(self, names: Sequence[str], folder: Path, settings: Mapping[str, Any]) -> None:
        cpu = not torch.cuda.is_available()
        self._accelerator = Accelerator(cpu=cpu, log_with=list(names), project_dir=str(folder))
        self._accelerator.init_trackers("privkd", config=dict(settings))

    def log(self, row: Mapping[str, Any]) -> None:
        """Show one row of history; its stage becomes a prefix of its names."""
        prefix = f"{row['stage']}/" if "stage" in row else ""
        values = {f"{prefix}{name}": value for name, value in row.items() if name not in ("stage", "step")}
        self._accelerator.log(values, step=int(row["step"]))

    def finish(self) -> None:
        """Write what is left; accelerate's own `end_training` would end the processes' conversation too."""
        for tracker in self._accelerator.trackers:
            tracker.finish()


def require_trackers(names: Sequence[str]) -> None:
    """Refuse services that accelerate does not know or find.

    Raises:
        ValueError: a name is unknown, or its package is not installed.
    """
    installed = {str(getattr(tracker, "value", tracker)) for tracker in get_available_trackers()}
    for name in names:
        if name not in LOGGER_TYPE_TO_CLASS:
            [nearest] = get_close_matches(name, LOGGER_TYPE_TO_CLASS, n=1, cutoff=0.0)
            known = ", ".join(sorted(LOGGER_TYPE_TO_CLASS))
            raise ValueError(f"trackers has {name!r}; did you mean {nearest!r}? known are {known}")
        if name not in installed:
            raise ValueError(f"trackers has {name!r}, which is not installed; pip install {name.replace('_', '-')}")
