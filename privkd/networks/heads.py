"""Classifiers that stand on an embedding: by learned cosines, by a fixed simplex, by class means."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from accountants import check

_SMALLEST_NORM = 1e-8  # below, a vector is divided by this instead of its norm


class CosineHead(nn.Module):
    """Classifier whose logits are scaled cosines between an embedding and one learned vector per class.

    Args:
        dim: size d of the embedding.
        classes: number K of classes.
        scale: factor on the cosines.

    Attributes:
        weight: the vectors, shape (K, d).

    Raises:
        ValueError: a size below 1, a scale that is not positive; in `forward`, embeddings of another size.

    Example:
        >>> head = CosineHead(2, 2, scale=16.0)
        >>> _ = head.load_state_dict({"weight": torch.tensor([[3.0, 0.0], [0.0, 0.5]])})
        >>> [round(logit, 3) for logit in head(torch.tensor([[4.0, 3.0]]))[0].tolist()]
        [12.8, 9.6]
    """

    def __init__(self, dim: int, classes: int, scale: float = 16.0) -> None:
        check.integer(dim=dim, classes=classes, at_least=1)
        check.real(scale=scale, above=0.0)
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(nn.init.kaiming_uniform_(torch.empty(classes, dim), a=math.sqrt(5)))  # as nn.Linear

    def forward(self, embeddings: Tensor) -> Tensor:
        """Logits in [-scale, scale], shape (b, K), from embeddings of shape (b, d)."""
        _require_width(self, embeddings, self.weight.shape[1])
        return self.scale * _unit(embeddings) @ _unit(self.weight).T

    @torch.no_grad()
    def expand(self, n: int, init: Tensor | None = None) -> None:
        """Add classes; optimisers that were made before do not know the new weight.

        Args:
            n: number of new classes, >= 1.
            init: their vectors, such as class means, shape (n, d); None for random ones. They are scaled to the mean norm of
                the vectors that are there.

        Raises:
            ValueError: another number or size of vectors, or one of them is zero.
        """
        check.integer(n=n, at_least=1)
        dim = self.weight.shape[1]
        new = CosineHead(dim, n).weight if init is None else init
        if new.shape != (n, dim):
            raise ValueError(
                f"init has shape {tuple(new.shape)}; n={n} new classes of an embedding of {dim} need ({n}, {dim})"
            )
        if not bool((new.norm(dim=1) > _SMALLEST_NORM).all()):
            raise ValueError(
                "init has a zero vector, which has no direction; give each new class the mean of its embeddings"
            )
        scaled = _unit(new.to(self.weight)) * self.weight.norm(dim=1).mean()
        self.weight = nn.Parameter(torch.cat([self.weight, scaled]))


class SimplexHead(nn.Module):
    """Classifier with fixed vectors of unit length, as far from each other as can be: a simplex equiangular tight frame.

    Two vectors have the cosine -1 / (K - 1). Embeddings are normalised. The number of classes is fixed in advance.

    Args:
        dim: size d of the embedding, at least K.
        classes: number K of classes, >= 2.
        generator: of the random rotation; None for torch's own.

    Attributes:
        weight: the vectors, a buffer of shape (K, d): sqrt(K / (K - 1)) (I - 11'/K) U' with orthonormal columns of U.

    Raises:
        ValueError: d < K, or K < 2.

    Source: neural collapse for few-shot class-incremental learning (Yang et al., ICLR 2023, arXiv 2302.03004).

    Example:
        >>> weight = SimplexHead(8, 5).weight
        >>> [round(value, 3) for value in (weight @ weight.T)[0].tolist()]
        [1.0, -0.25, -0.25, -0.25, -0.25]
    """

    weight: Tensor

    def __init__(self, dim: int, classes: int, generator: torch.Generator | None = None) -> None:
        check.integer(classes=classes, at_least=2)
        check.integer(dim=dim, at_least=1)
        if dim < classes:
            raise ValueError(f"dim={dim} must be at least classes={classes}: a smaller space holds no such simplex")
        super().__init__()
        basis = torch.linalg.qr(torch.randn(dim, classes, generator=generator, dtype=torch.float64)).Q
        centred = torch.eye(classes, dtype=torch.float64) - 1 / classes
        self.register_buffer("weight", (math.sqrt(classes / (classes - 1)) * centred @ basis.T).float())

    def forward(self, embeddings: Tensor) -> Tensor:
        """Cosines with the vectors, shape (b, K), from embeddings of shape (b, d)."""
        _require_width(self, embeddings, self.weight.shape[1])
        return _unit(embeddings) @ self.weight.T

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The mean of (cosine with the vector of the label - 1)^2 / 2; a scalar in [0, 2].

        Args:
            embeddings: shape (b, d).
            labels: int64, shape (b,).
        """
        return 0.5 * (self(embeddings).gather(1, labels[:, None]) - 1).square().mean()


class PrototypeHead(nn.Module):
    """Classifier without training: scaled cosines with the mean embedding of every class; it starts with no class.

    Embeddings are added as they are and normalised only when they are compared.

    Args:
        dim: size d of the embedding.
        classes: number of classes that may get embeddings at first.
        scale: factor on the cosines.

    Attributes:
        sums: of the embeddings by class, a buffer of shape (K, d).
        counts: embeddings by class, an int64 buffer of shape (K,).

    Raises:
        ValueError: a size out of range; in `forward`, a class without embeddings or embeddings of another size.
    """

    sums: Tensor
    counts: Tensor

    def __init__(self, dim: int, classes: int = 0, scale: float = 16.0) -> None:
        check.integer(dim=dim, at_least=1)
        check.integer(classes=classes, at_least=0)
        check.real(scale=scale, above=0.0)
        super().__init__()
        self.scale = scale
        self.register_buffer("sums", torch.zeros(classes, dim))
        self.register_buffer("counts", torch.zeros(classes, dtype=torch.int64))

    @property
    def means(self) -> Tensor:
        """The mean embedding of every class, shape (K, d); zero for a class without embeddings."""
        return self.sums / self.counts.clamp(min=1)[:, None]

    @torch.no_grad()
    def expand(self, n: int) -> None:
        """Make room for n more classes."""
        check.integer(n=n, at_least=1)
        self.sums = torch.cat([self.sums, self.sums.new_zeros(n, self.sums.shape[1])])
        self.counts = torch.cat([self.counts, self.counts.new_zeros(n)])

    @torch.no_grad()
    def add(self, embeddings: Tensor, labels: Tensor) -> None:
        """Count embeddings, shape (b, d), into the means of their classes, int64, shape (b,).

        Raises:
            ValueError: not one label per embedding, a label that is out of range, or embeddings of another size.
        """
        _require_width(self, embeddings, self.sums.shape[1])
        if labels.shape != embeddings.shape[:1]:
            raise ValueError(f"labels have shape {tuple(labels.shape)} for {len(embeddings)} embeddings; give one each")
        if len(labels) and not (labels.min() >= 0 and labels.max() < len(self.counts)):
            raise ValueError(f"labels must lie in 0..{len(self.counts) - 1}; `expand` makes room for more classes")
        self.sums.index_add_(0, labels, embeddings.to(self.sums))
        self.counts += torch.bincount(labels, minlength=len(self.counts))

    def forward(self, embeddings: Tensor) -> Tensor:
        """Logits in [-scale, scale], shape (b, K), from embeddings of shape (b, d)."""
        _require_width(self, embeddings, self.sums.shape[1])
        if not len(self.counts) or not bool(self.counts.all()):
            absent = int((self.counts == 0).sum())
            raise ValueError(
                f"{absent} of {len(self.counts)} classes have no embeddings; `add` some of every class first"
            )
        return self.scale * _unit(embeddings) @ _unit(self.sums).T


def _unit(vectors: Tensor) -> Tensor:
    return functional.normalize(vectors, dim=1, eps=_SMALLEST_NORM)


def _require_width(head: nn.Module, embeddings: Tensor, dim: int) -> None:
    if embeddings.dim() != 2 or embeddings.shape[1] != dim:
        raise ValueError(
            f"{type(head).__name__} was given shape {tuple(embeddings.shape)}; it takes embeddings of shape (b, {dim})"
        )
