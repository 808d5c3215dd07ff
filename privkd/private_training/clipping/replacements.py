"""Replace layers that mix records by their nearest kin that does not."""

from __future__ import annotations

import copy
from typing import TypeGuard

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _LazyNormBase
from torch.nn.modules.instancenorm import _InstanceNorm

from privkd.errors import UnsupportedModule

_MOST_GROUPS = 32
_LEAST = 4  # values under one mean and variance: of one nothing is left, of two a sign, of three an angle


def fix(model: nn.Module) -> nn.Module:
    """Copy of a model that can be trained under record-level privacy.

    BatchNorm2d and BatchNorm3d become GroupNorm: as many groups as divide the channels, at most 32, with at least 4 channels
    each (one group if that cannot be; it then refuses inputs with fewer than 4 values in it). BatchNorm1d and SyncBatchNorm,
    which may stand behind a layer without positions, become GroupNorm with one group over all features, like LayerNorm; over
    fewer than 4 features they are refused, as a group would keep next to nothing of them. InstanceNorm loses its running
    statistics. Weights and biases of these layers are kept, running statistics are dropped (they came from data); everything
    else is copied as it is.

    Args:
        model: any module; it is not changed.

    Returns:
        A deep copy on the same device, with the same dtypes and modes.

    Raises:
        UnsupportedModule: a lazy normalisation that has not seen its number of channels yet, or one over too few features; all
            of them are named.

    Example:
        >>> fix(nn.Sequential(nn.Conv2d(1, 48, 3), nn.BatchNorm2d(48)))[1].num_groups
        12
    """
    _refuse_lazy(model)
    _refuse_narrow(model)
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


def _refuse_narrow(model: nn.Module) -> None:
    narrow = [
        f"{path or 'the model itself'}: {type(m).__name__}({m.num_features})"
        for path, m in model.named_modules()
        if _is_flat(m) and m.num_features < _LEAST
    ]
    if narrow:
        raise UnsupportedModule(
            f"{', '.join(narrow)}: without other records there are fewer than {_LEAST} values to normalise, and a mean and a "
            "variance of so few erase what they say. Leave the layer out (nn.Identity()), widen the layer before it, or scale "
            "its input by public constants"
        )


def _is_flat(module: nn.Module) -> TypeGuard[_BatchNorm]:
    """Whether a layer may normalise features without any positions."""
    return isinstance(module, nn.BatchNorm1d | nn.SyncBatchNorm)


def _refuse_few_values(module: nn.Module, args: tuple[Tensor, ...]) -> None:
    """A layer in front of a GroupNorm whose groups hold few channels: only the input shows whether there are positions enough."""
    assert isinstance(module, nn.GroupNorm)
    values = args[0][:1].numel() // module.num_groups
    if values < _LEAST and len(args[0]):
        raise UnsupportedModule(
            f"the GroupNorm of {module.num_channels} channels that privkd.fix put in place of a BatchNorm normalises {values} "
            f"values; at least {_LEAST} are needed, or next to nothing is left of them. Leave the layer out (nn.Identity())"
        )


def _replacement(module: nn.Module) -> nn.Module | None:
    if isinstance(module, _InstanceNorm):
        if not module.track_running_stats:
            return None
        new = type(module)(module.num_features, eps=module.eps, affine=module.affine, track_running_stats=False)
    elif isinstance(module, _BatchNorm):
        groups = 1 if _is_flat(module) else _groups(module.num_features)
        new = nn.GroupNorm(groups, module.num_features, eps=module.eps, affine=module.affine)
        if module.num_features < _LEAST:
            new.register_forward_pre_hook(_refuse_few_values)
    else:
        return None
    new.train(module.training)
    if module.affine:
        new.weight, new.bias = _copied(module.weight), _copied(module.bias)
    return new


def _copied(parameter: Tensor) -> nn.Parameter:
    return nn.Parameter(parameter.detach().clone(), requires_grad=parameter.requires_grad)


def _groups(channels: int) -> int:
    fitting = [n for n in range(1, _MOST_GROUPS + 1) if channels % n == 0 and channels // n >= _LEAST]
    return max(fitting, default=1)
