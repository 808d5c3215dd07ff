"""What in a model makes records depend on each other, or keeps private statistics: all of it in one message."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from privkd.errors import MixedRecordsError


def problems(model: nn.Module) -> list[str]:
    """Reasons why a model has no per-record gradients in its present modes; empty if none is known.

    Only what the types and settings of modules tell: a `Clipper` also checks the behaviour, on its first batch.

    Args:
        model: any module.

    Returns:
        One line per module, with its path.

    Example:
        >>> problems(nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8)))
        ['1: BatchNorm2d in train mode normalises with the statistics of the batch, which mix records']
        >>> problems(nn.Sequential(nn.Conv2d(1, 8, 3), nn.GroupNorm(2, 8)))
        []
    """
    found = []
    for path, module in model.named_modules():
        if reason := _reason(module):
            found.append(f"{path or 'the model itself'}: {type(module).__name__} {reason}")
    return found


def _reason(module: nn.Module) -> str | None:
    if isinstance(module, _InstanceNorm):
        if module.track_running_stats and module.training:
            return "with track_running_stats keeps statistics of private records"
    elif isinstance(module, _BatchNorm):  # also Sync and Lazy
        if module.training or not module.track_running_stats:
            mode = "in train mode" if module.training else "without running statistics"
            return f"{mode} normalises with the statistics of the batch, which mix records"
    elif isinstance(module, nn.Embedding | nn.EmbeddingBag):
        if module.max_norm is not None:
            return "with max_norm rescales its table by what private records look up"
        if module.scale_grad_by_freq:
            return "with scale_grad_by_freq scales a record's gradient by the other records"
    return None


def require_separate_records(model: nn.Module) -> None:
    """Raise MixedRecordsError with all known problems of a model."""
    if found := problems(model):
        raise mixed_records(found)


def mixed_records(found: list[str]) -> MixedRecordsError:
    """The error that lists problems and the ways out."""
    return MixedRecordsError(
        "the gradient of one record cannot be told from the others', so clipping would not bound its influence:\n"
        + "".join(f"  - {line}\n" for line in found)
        + "Ways out: privkd.fix(model) returns a copy with GroupNorm instead of BatchNorm and InstanceNorm without running "
        "statistics; or put layers with fixed, public "
        "statistics into eval mode (for a trainer: into frozen); or rewrite what mixes records"
    )
