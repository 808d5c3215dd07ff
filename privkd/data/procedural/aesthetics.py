"""Histograms of ratings from 1 to 10, by few or by many raters, of things that sixteen numbers describe.

Specification: AE-1 of this project.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from accountants import check
from privkd.data.procedural.draws import generator_of

FEATURES, BINS = 16, 10
RATERS = (8, 200)


@dataclass(frozen=True, eq=False)
class RatingHistograms:
    """Rated things.

    Attributes:
        inputs: float32, shape (n, 16).
        histograms: shares of the ratings 1..10, float32, shape (n, 10); rows sum to 1.
        true: the distributions that the raters drew from, likewise.
        raters: how many rated, int64, shape (n,): 8 or 200; 0 where the histogram is the true distribution.
    """

    inputs: Tensor
    histograms: Tensor
    true: Tensor
    raters: Tensor

    def __len__(self) -> int:
        return len(self.inputs)

    def columns(self) -> dict[str, Tensor]:
        """The columns "input" and "histogram", for batches."""
        return {"input": self.inputs, "histogram": self.histograms}


def rating_histograms(count: int = 200, *, rated: bool = True, seed: int = 0) -> RatingHistograms:
    """Inputs x from N(0, I) and what people think of them.

    Ratings follow a discretised Gaussian on 1..10 with mean 5.5 + 2 tanh(1.2 x.w1) + 0.5 sin(2 x_1) and standard deviation
    1.1 + 0.6 sigmoid(2 x.w2), where w1 and w2 are fixed normal vectors divided by 4. Every second thing is rated by 8 people, the
    others by 200.

    Args:
        count: number of things, >= 1.
        rated: whether histograms are drawn from raters; otherwise they are the true distributions, as for a test.
        seed: integer >= 0, of the inputs and the raters; the vectors are the same for all seeds.

    Raises:
        TypeError: count or seed is no integer.
        ValueError: count or seed is out of range.

    Example:
        >>> things = rating_histograms(3)
        >>> things.histograms.shape, things.raters.tolist()
        (torch.Size([3, 10]), [8, 200, 8])
    """
    check.integer(count=count, at_least=1)
    generator = generator_of("ratings", seed)
    inputs = torch.randn(count, FEATURES, generator=generator)
    true = _true_distribution(inputs)
    if not rated:
        return RatingHistograms(inputs, true, true, torch.zeros(count, dtype=torch.int64))
    raters = torch.tensor(RATERS)[torch.arange(count) % 2]
    # all draws at once; who was not asked is not counted
    ratings = torch.multinomial(true, max(RATERS), replacement=True, generator=generator)
    asked = torch.arange(max(RATERS)) < raters[:, None]
    counts = torch.zeros(count, BINS).scatter_add_(1, ratings, asked.float())
    return RatingHistograms(inputs, counts / raters[:, None], true, raters)


def _true_distribution(inputs: Tensor) -> Tensor:
    taste, doubt = (torch.randn(FEATURES, generator=torch.Generator().manual_seed(k)) / 4 for k in (77, 78))
    mean = 5.5 + 2 * torch.tanh(1.2 * inputs @ taste) + 0.5 * torch.sin(2 * inputs[:, 0])
    spread = 1.1 + 0.6 * torch.sigmoid(2 * inputs @ doubt)
    marks = torch.arange(1, BINS + 1)
    density = torch.exp(-(((marks - mean[:, None]) / spread[:, None]) ** 2) / 2)
    return density / density.sum(1, keepdim=True)
