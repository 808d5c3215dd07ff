"""Distillation of single rows: of probabilities, of embeddings and of feature maps.

Everything of the teacher is detached here; a student never trains its teacher.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from accountants import check
from privkd.losses.rows import (
    Reduction,
    full_precision,
    reduced,
    require_floating,
    require_rows,
    require_same_shape,
    unit,
)


@full_precision
def kl(
    student: Tensor,
    teacher: Tensor,
    *,
    tau: float = 1.0,
    mask: Tensor | None = None,
    student_mask: Tensor | None = None,
    weights: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    """tau^2 times the divergence KL(softmax(teacher / tau) || softmax(student / tau)), averaged over the rows.

    Args:
        student: logits, shape (n, K).
        teacher: logits, shape (n, K); detached.
        tau: temperature, > 0. The factor tau^2 keeps the size of gradients over temperatures.
        mask: bool, shape (n, K) or (K,): the classes among which the teacher's probabilities are shared; None for all. A row
            without any such class adds 0 to the mean, and counts in it.
        student_mask: likewise for the student, whose set must hold that of the teacher; None for the same one.
        weights: of the rows, >= 0, shape (n,).
        reduction: "mean", "sum" or "none" (shape (n,)).

    Returns:
        A scalar >= 0 in nats, or one number per row.

    Raises:
        ValueError: shapes differ, a mask is not of booleans, tau is not positive, or the student's set lacks a class of the
            teacher's.

    Source: Hinton, Vinyals, Dean, arXiv 1503.02531; masked as in label-masking distillation (FedLMD).

    Example:
        >>> student, teacher = torch.zeros(1, 3), torch.tensor([[1.0, 0.0, 0.0]])
        >>> round(float(kl(student, teacher)), 4)
        0.1233
        >>> first, every = torch.tensor([True, False, False]), torch.ones(3).bool()
        >>> round(float(kl(student, teacher, mask=first, student_mask=every)), 4)  # log 3
        1.0986
    """
    check.real(tau=tau, above=0.0)
    require_rows(student=student, teacher=teacher)
    require_same_shape("student and teacher must know the same classes", student=student, teacher=teacher)
    if mask is None:
        mask = torch.ones_like(teacher, dtype=torch.bool)
    allowed = _class_mask(mask, teacher, "mask")
    wider = allowed if student_mask is None else _class_mask(student_mask, student, "student_mask")
    if student_mask is not None and bool((allowed & ~wider).any()):
        raise ValueError("student_mask leaves out classes of mask: the divergence would be infinite; allow them, too")
    log_q = _masked_log_softmax(teacher.detach() / tau, allowed)
    log_p = _masked_log_softmax(student / tau, wider)
    # A class of no probability adds 0, also where its logit is -inf.
    terms = torch.where(allowed & (log_q > -torch.inf), log_q.exp() * (log_q - log_p), 0.0)
    return tau**2 * reduced(terms.sum(dim=1), weights, reduction)


def logit_kd(student: Tensor, teacher: Tensor, *, tau: float = 4.0, weights: Tensor | None = None) -> Float[Tensor, ""]:
    """The classical distillation of logits: `kl` over all classes at temperature 4.

    Args:
        student: logits, shape (n, K).
        teacher: logits, shape (n, K); detached.
        tau: temperature, > 0.
        weights: of the rows, >= 0, shape (n,).

    Source: Hinton, Vinyals, Dean, arXiv 1503.02531.

    Example:
        >>> round(float(logit_kd(torch.zeros(1, 3), torch.tensor([[1.0, 0.0, 0.0]]))), 4)
        0.1166
    """
    return kl(student, teacher, tau=tau, weights=weights)


@full_precision
def feature_distance(
    student: Tensor,
    teacher: Tensor,
    *,
    where: Tensor | None = None,
    normalise: bool = True,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    """The squared distance between embeddings of student and teacher, averaged over rows: relations of order 1.

    Args:
        student: shape (n, d).
        teacher: shape (n, d), projected to the student's width if need be; detached.
        where: which rows count, bool, or how much, >= 0; shape (n,). None for all.
        normalise: compare directions: 2 - 2 cos, in [0, 4]. Without it, sum of squared differences.
        reduction: "mean", "sum" or "none" (shape (n,)).

    Returns:
        A scalar >= 0, or one number per row. 0 with zero gradients when no row counts.

    Raises:
        ValueError: shapes differ.

    Example:
        >>> student, teacher = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[5.0, 0.0], [1.0, 0.0]])
        >>> float(feature_distance(student, teacher))
        1.0
        >>> float(feature_distance(student, teacher, where=torch.tensor([True, False])))
        0.0
    """
    require_rows(student=student, teacher=teacher)
    require_same_shape("project the teacher to the width of the student", student=student, teacher=teacher)
    teacher = teacher.detach()
    if normalise:
        student, teacher = unit(student), unit(teacher)
    return reduced((student - teacher).square().sum(dim=1), where, reduction)


class MapFeature(nn.Module):
    """Regression of a student's feature map onto a teacher's, whose channels are standardised by running statistics.

    A student that gives 0 everywhere, the mean, has loss 1 on maps as they came before; so weights carry over from one
    teacher to another. Statistics move in training mode alone.

    Args:
        channels: of both maps, >= 1.
        momentum: share of the newest batch in the statistics, in (0, 1]; the first 1/momentum batches count alike.

    Example:
        >>> distance, maps = MapFeature(1), torch.tensor([[[3.0, 5.0]]])
        >>> float(distance(torch.zeros(1, 1, 2), maps)), float(distance(torch.tensor([[[-1.0, 1.0]]]), maps))
        (1.0, 0.0)
    """

    mean: Tensor
    variance: Tensor
    batches: Tensor

    def __init__(self, channels: int, *, momentum: float = 0.01) -> None:
        super().__init__()
        check.integer(channels=channels, at_least=1)
        check.real(momentum=momentum, above=0.0, at_most=1.0)
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))
        self.register_buffer("batches", torch.tensor(0))

    def forward(self, student: Tensor, teacher: Tensor) -> Float[Tensor, ""]:
        """The mean squared difference to the standardised map.

        Args:
            student: projected map, shape (n, channels, ...), n >= 1.
            teacher: map of the same shape; detached.

        Raises:
            ValueError: shapes differ, or there are other channels.
        """
        return _map_distance(student, teacher, self)

    @torch.no_grad()
    def observe(self, teacher: Tensor) -> None:
        """Move the running mean and variance of every channel, shape (n, channels, ...), towards those of a batch."""
        values = teacher.transpose(0, 1).flatten(1).to(self.mean.dtype)
        self.batches += 1
        share = (1.0 / self.batches).clamp(min=self.momentum)
        step = values.mean(dim=1) - self.mean
        # Variance of a mixture: within its two parts, and between their means.
        self.variance.lerp_(values.var(dim=1, correction=0), share).add_(share * (1 - share) * step**2)
        self.mean.add_(share * step)


@full_precision
def _map_distance(student: Tensor, teacher: Tensor, module: MapFeature) -> Tensor:
    require_floating(student=student, teacher=teacher)
    require_same_shape("project the student to the teacher's channels and size", student=student, teacher=teacher)
    if teacher.dim() < 2 or teacher.shape[1] != len(module.mean) or not teacher.numel():
        raise ValueError(
            f"maps have shape {tuple(teacher.shape)}; (n >= 1, channels={len(module.mean)}, ...) is needed"
        )
    teacher = teacher.detach()
    if module.training:
        module.observe(teacher)
    shape = (1, -1, *[1] * (teacher.dim() - 2))
    deviation = module.variance.sqrt().clamp(min=1e-6).reshape(shape)
    return (student - (teacher - module.mean.reshape(shape)) / deviation).square().mean()


def _class_mask(mask: Tensor, logits: Tensor, name: str) -> Tensor:
    if mask.dtype != torch.bool or mask.shape not in (logits.shape, logits.shape[1:]):
        raise ValueError(
            f"{name} is of {mask.dtype} and shape {tuple(mask.shape)}; booleans of shape {tuple(logits.shape)} or "
            f"{tuple(logits.shape[1:])} are needed"
        )
    return mask.expand_as(logits)


def _masked_log_softmax(logits: Tensor, mask: Tensor) -> Tensor:
    # A fill that is finite keeps gradients finite in rows without any class; half of the lowest number leaves room.
    return torch.log_softmax(logits.masked_fill(~mask, torch.finfo(logits.dtype).min / 2), dim=1)
