"""Replace layers that mix records by their nearest kin that does not."""

from __future__ import annotations

import copy

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _LazyNormBase
from torch.nn.modules.instancenorm import _InstanceNorm

from privkd.errors import UnsupportedModule

__all__ = ["fix"]

_MOST_GROUPS = 32
_LEAST_CHANNELS = 4


def fix(model: nn.Module) -> nn.Module:
    """Copy of a model that can be trained under record-level privacy.

    BatchNorm (also Sync) becomes GroupNorm: as many groups as divide the channels, at most 32, with at least 4 channels
    each (one group if that cannot be). InstanceNorm loses its running statistics. Weights and biases of these layers are
    kept, running statistics are dropped (they came from data); everything else is copied as it is.

    Args:
        model: any module; it is not changed.

    Returns:
        A deep copy on the same device, with the same dtypes and modes.

    Raises:
        UnsupportedModule: a lazy normalisation that has not seen its number of channels yet.

    Example:
        >>> fix(nn.Sequential(nn.Conv2d(1, 48, 3), nn.BatchNorm2d(48)))[1].num_groups
        12
    """
    _refuse_lazy(model)
    made: dict[int, nn.Module] = {}  # a layer that stands in two places stays one layer
    copied = copy.deepcopy(model)

    def walk(module: nn.Module) -> nn.Module:
        if id(module) not in made:
            made[id(module)] = module
            new = _replacement(module)
            if new is None:
                for name, child in list(module._modules.items()):
                    if child is not None:
                        module._modules[name] = walk(child)
            else:
                made[id(module)] = new
        return made[id(module)]

    return walk(copied)


def _refuse_lazy(model: nn.Module) -> None:
    lazy = [f"{path}: {type(m).__name__}" for path, m in model.named_modules() if isinstance(m, _LazyNormBase)]
    if lazy:
        raise UnsupportedModule(
            f"{', '.join(lazy)} does not know its number of channels yet; run one batch of public or random data through the "
            "model, or write GroupNorm yourself"
        )


def _replacement(module: nn.Module) -> nn.Module | None:
    if isinstance(module, _InstanceNorm):
        if not module.track_running_stats:
            return None
        new = type(module)(module.num_features, eps=module.eps, affine=module.affine, track_running_stats=False)
    elif isinstance(module, _BatchNorm):
        new = nn.GroupNorm(_groups(module.num_features), module.num_features, eps=module.eps, affine=module.affine)
    else:
        return None
    new.train(module.training)
    if module.affine:
        new.weight, new.bias = _copied(module.weight), _copied(module.bias)
    return new


def _copied(parameter: Tensor) -> nn.Parameter:
    return nn.Parameter(parameter.detach().clone(), requires_grad=parameter.requires_grad)


def _groups(channels: int) -> int:
    fitting = [n for n in range(1, _MOST_GROUPS + 1) if channels % n == 0 and channels // n >= _LEAST_CHANNELS]
    return max(fitting, default=1)
