"""Maps between spaces of features: from a student's into a teacher's, and small changes within one."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from accountants import check


class Projector(nn.Module):
    """A map from a student's space into a teacher's: linear, a 1x1 convolution, or a perceptron with one hidden layer.

    Args:
        inputs: size of the embedding, or channels of the map, that is projected.
        outputs: the same of the answer.
        kind: "linear" and "mlp" for embeddings, shape (..., inputs); "conv1x1" for maps, shape (b, inputs, h, w).
        hidden: width of the perceptron's hidden layer; None for `outputs`. Only for "mlp".

    Raises:
        ValueError: a size below 1, an unknown kind, or a hidden width for another kind than "mlp".
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kind: Literal["linear", "conv1x1", "mlp"] = "linear",
        *,
        hidden: int | None = None,
    ) -> None:
        check.integer(inputs=inputs, outputs=outputs, at_least=1)
        if hidden is not None:
            check.integer(hidden=hidden, at_least=1)
            if kind != "mlp":
                raise ValueError(f"hidden={hidden} is only for kind='mlp', not for kind={kind!r}")
        super().__init__()
        middle = outputs if hidden is None else hidden
        if kind == "linear":
            self.body: nn.Module = nn.Linear(inputs, outputs)
        elif kind == "conv1x1":
            self.body = nn.Conv2d(inputs, outputs, 1)
        elif kind == "mlp":
            self.body = nn.Sequential(nn.Linear(inputs, middle), nn.ReLU(), nn.Linear(middle, outputs))
        else:
            raise ValueError(f"kind={kind!r} is unknown; choose 'linear', 'conv1x1' or 'mlp'")

    def forward(self, features: Tensor) -> Tensor:
        """The same in the other space: (..., inputs) to (..., outputs), or (b, inputs, h, w) to (b, outputs, h, w)."""
        return self.body(features)


class ResidualProjector(nn.Module):
    """A change of an embedding that is no change at birth: h + W2 LeakyReLU(W1 h) with W2 = 0.

    Args:
        dim: size d of the embedding.
        hidden: width between the two layers; None for 2 d.

    Raises:
        ValueError: a size below 1.

    Example:
        >>> import torch
        >>> h = torch.rand(3, 64)
        >>> torch.equal(ResidualProjector(64)(h), h)
        True
    """

    def __init__(self, dim: int, hidden: int | None = None) -> None:
        hidden = 2 * dim if hidden is None else hidden
        check.integer(dim=dim, hidden=hidden, at_least=1)
        super().__init__()
        self.inner = nn.Linear(dim, hidden)
        self.outer = nn.Linear(hidden, dim)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Embeddings of the same shape, (..., d)."""
        return embeddings + self.outer(functional.leaky_relu(self.inner(embeddings), 0.1))
