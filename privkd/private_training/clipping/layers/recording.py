"""Which layers ghost clipping covers, and a record of their calls in a forward pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from torch import Tensor, nn

from privkd.private_training.clipping.layers.affine import LinearSite
from privkd.private_training.clipping.layers.attention import attention_problem, attention_targets, own_forward
from privkd.private_training.clipping.layers.convolution import ConvolutionSite
from privkd.private_training.clipping.layers.embedding import EmbeddingSite
from privkd.private_training.clipping.layers.normalization import NormalizationSite
from privkd.private_training.clipping.layers.site import Call, Site, Target

_INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
_SITES: dict[type[nn.Module], type[Site]] = {
    nn.Linear: LinearSite,
    nn.Embedding: EmbeddingSite,
    **dict.fromkeys((nn.Conv1d, nn.Conv2d, nn.Conv3d), ConvolutionSite),
    **dict.fromkeys((nn.LayerNorm, nn.GroupNorm, *_INSTANCE_NORMS), NormalizationSite),
}
"""By exact type: a subclass may compute anything."""


def uncovered(model: nn.Module) -> list[str]:
    """Why ghost clipping cannot see all trained parameters: one line per module."""
    reasons = []
    inside = _output_projections(model)
    for path, module in model.named_modules():
        own = [p for p in module._parameters.values() if p is not None and p.requires_grad]
        if id(module) in inside:
            continue
        if type(module) is nn.MultiheadAttention:
            problem = attention_problem(module) if any(p.requires_grad for p in module.parameters()) else None
        else:
            problem = _layer_problem(module) if own else None
        if problem is None and own and "forward" in module.__dict__:
            problem = "a forward method that was exchanged"
        if problem is not None:
            reasons.append(f"{path or 'the model itself'}: {problem}")
    return reasons


def _output_projections(model: nn.Module) -> set[int]:
    """Layers that attention reads without calling them."""
    return {id(module.out_proj) for module in model.modules() if type(module) is nn.MultiheadAttention}


def _layer_problem(module: nn.Module) -> str | None:
    kind = type(module).__name__
    if type(module) not in _SITES:
        return f"no rule for the parameters of {kind}"
    if not set(module._parameters) <= {"weight", "bias"}:
        return f"{kind} with parameters {', '.join(module._parameters)}"
    if isinstance(module, nn.Embedding) and (module.max_norm is not None or module.scale_grad_by_freq or module.sparse):
        return "Embedding with max_norm, scale_grad_by_freq or sparse"
    if isinstance(module, _INSTANCE_NORMS) and module.track_running_stats:
        return f"{kind} with running statistics"
    return None


@contextmanager
def recorded(model: nn.Module, trained: dict[str, nn.Parameter], rows: int) -> Iterator[list[Site]]:
    """Collect a site for every call of a layer with trained parameters; the model is left as it was."""
    sites: list[Site] = []
    names = {id(p): name for name, p in trained.items()}
    inside = _output_projections(model)
    with ExitStack() as stack:
        for path, module in model.named_modules():
            if type(module) is nn.MultiheadAttention:
                projections = attention_targets(module, names)
                if any(projections.values()):
                    stack.enter_context(_attention_recorded(path, module, projections, sites, rows))
            elif type(module) in _SITES and id(module) not in inside:
                own = {role: p for role, p in module._parameters.items() if p is not None and id(p) in names}
                if own:
                    targets = {role: Target(names[id(p)]) for role, p in own.items()}
                    hook = _hook(path, targets, sites, rows)
                    handle = module.register_forward_hook(hook, prepend=True, with_kwargs=True)
                    stack.callback(handle.remove)
        yield sites


def _hook(path: str, targets: dict[str, Target], sites: list[Site], rows: int):
    def record(module: nn.Module, args: tuple, kwargs: dict, output: Tensor) -> None:
        if output.requires_grad:
            source = args[0] if args else kwargs["input"]
            sites.append(_SITES[type(module)](Call(path, module, source, output, targets, rows)))

    return record


@contextmanager
def _attention_recorded(
    path: str, module: nn.MultiheadAttention, targets: dict[str, dict[str, Target]], sites: list[Site], rows: int
) -> Iterator[None]:
    def report(letter: str, source: Tensor, output: Tensor, own: dict[str, Target]) -> None:
        sites.append(LinearSite(Call(f"{path}.{letter}", module, source, output, own, rows)))

    module.forward = own_forward(module, targets, report)
    try:
        yield
    finally:
        del module.forward
