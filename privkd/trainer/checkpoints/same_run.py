"""What must be equal for a checkpoint to belong to a run: settings and forms, never the contents of private rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import torch

from privkd.networks.fingerprint import digest
from privkd.trainer.batch import Data
from privkd.trainer.batches.datasets import columns_of, form_of
from privkd.trainer.settings import TrainerSettings
from privkd.trainer.task import Stage

SETTINGS = ("steps", "epochs", "batch_size", "accumulate", "clip_norm", "precision", "seed", "records")
"""The settings of a run that change what comes out."""


def fingerprint(settings: TrainerSettings, stages: Sequence[Stage], processes: int) -> dict[str, Any]:
    """What a checkpoint is compared by, of a run before its first step.

    Args:
        settings: of the run.
        stages: as they were given.
        processes: that share the run.
    """
    tasks = [stage.task for stage in stages]
    loud = "told although private" if settings.unsafe_logging else "private"
    return {
        **{name: getattr(settings, name) for name in SETTINGS},
        "privacy": None if settings.privacy is None else settings.privacy.to_dict(),
        "rows": loud if settings.has_private_rows else "told",
        "processes": processes,
        "stages": [stage.name for stage in stages],
        "lengths": [[stage.steps, stage.epochs, stage.batch_size] for stage in stages],
        "tasks": [type(task).__qualname__ for task in tasks],
        "data": [form_of(stage.data) for stage in stages],
        "beside": [{name: form_of(data) for name, data in stage.beside.items()} for stage in stages],
        "modules": [{name: _form(module) for name, module in task.modules.items()} for task in tasks],
        "frozen": _fixed(stages),
        "averaged": [task.averaged for task in tasks],
        "optimizers": [{name: _settings(optim) for name, optim in task.optimizers.items()} for task in tasks],
        "schedulers": [[type(scheduler).__name__ for scheduler in task.schedulers] for task in tasks],
    }


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What is another, in words."""
    return [
        f"{name} was {json.dumps(before.get(name))}, is {json.dumps(value)}"
        for name, value in now.items()
        if json.dumps(before.get(name)) != json.dumps(value)
    ]


def digest_of(data: Data) -> str | None:
    """A fingerprint of rows that a function made; None for data sets, which are read row by row."""
    columns = columns_of(data)
    if not isinstance(columns, dict):
        return None
    total = hashlib.sha256()
    for name, column in columns.items():
        total.update(name.encode())
        total.update(column.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def _form(module: torch.nn.Module) -> str:
    """A fingerprint of names and shapes."""
    shapes = [
        (name, list(value.shape)) for name, value in module.state_dict().items() if isinstance(value, torch.Tensor)
    ]
    return hashlib.sha256(json.dumps(shapes).encode()).hexdigest()[:16]


def _settings(optimizer: torch.optim.Optimizer) -> list[Any]:
    """Kind and plain settings of an optimiser, as it begins."""
    plain = (bool, int, float, str, type(None))
    groups = [
        {name: value for name, value in sorted(group.items()) if isinstance(value, plain)}
        for group in optimizer.param_groups
    ]
    return [type(optimizer).__name__, groups]


def _fixed(stages: Sequence[Stage]) -> list[dict[str, str]]:
    """Digests of the frozen modules that no stage trains: a run does not go on with another teacher."""
    trained = {p for stage in stages for module in stage.task.modules.values() for p in module.parameters()}
    return [
        {
            name: digest(module).hex()[:16]
            for name, module in stage.task.frozen.items()
            if trained.isdisjoint(module.parameters())
        }
        for stage in stages
    ]
