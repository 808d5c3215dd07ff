"""Noisy sums of vectors, one per record: private means, covariances and histograms of weights.

What a record adds is clipped, and then rounded towards zero to a grid of integers, so that the sum before the noise is
exact: it depends on no order of the rows, and one record moves it by no more than the bound. Sums in floating point do
not have this property (Casacuberta et al., arXiv 2207.10635).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import torch
from jaxtyping import Float64
from torch import Tensor

from accountants import Event, Gaussian, Ledger, check
from privkd.mechanisms.charging import ledgers_of
from privkd.mechanisms.noise import NoiseSource, coarsen
from privkd.mechanisms.private_value import Private
from privkd.plain import make_plain

_GRID = 2.0**30  # grid points per bound: a coordinate loses less than 1e-9 of the bound
_AT_ONCE = 2**22  # numbers that are summed in float64 at once: exact, since 2^22 rows of 2^30 points stay below 2^53

Rows = Private | Tensor


@dataclass(frozen=True, slots=True)
class BoundedSum:
    """Sum over records of vectors of bounded L2 norm, with Gaussian noise.

    A mean is such a sum divided by the public number of records. A matrix of second moments is the sum of the upper
    triangles of z z^T, off-diagonal entries times sqrt(2): the norm of that vector is the Frobenius norm, which is
    |z|^2.

    Args:
        sigma: standard deviation of the noise per coordinate / bound, >= 0 (0 is no privacy and is charged as infinite).

    Source: the Gaussian mechanism, Dwork and Roth 2014, Appendix A, with the exact accounting of Balle and Wang 2018;
    as statistics of features in front of private training, Tramer, Boneh, arXiv 2011.11660.

    Example:
        >>> from privkd.mechanisms.noise import SystemNoise
        >>> ledger = Ledger(adjacency="add-remove")
        >>> rows = torch.tensor([[3.0, 4.0], [0.5, 0.0]])
        >>> noisy = BoundedSum(8.0).release(rows, bound=1.0, ledger=ledger, noise=SystemNoise())
        >>> noisy.shape, ledger.events
        (torch.Size([2]), (gaussian(8),))
    """

    sigma: float

    def __post_init__(self) -> None:
        make_plain(self)
        check.real(sigma=self.sigma, at_least=0.0)

    def event(self, adjacency: str) -> Event:
        """Cost of one release.

        Args:
            adjacency: "add-remove", "zero-out" or "replace-one", see `unit_sensitivity`.

        Raises:
            ValueError: another word.
        """
        return Gaussian(self.sigma / unit_sensitivity(adjacency))

    def release(
        self,
        values: Rows | Iterable[Rows],
        *,
        bound: float,
        ledger: Ledger,
        noise: NoiseSource,
        where: str = "bounded-sum",
    ) -> Float64[Tensor, " d"]:
        """Charge once, then clip, sum and add noise.

        Args:
            values: one row per record, shape (n, d) with n >= 0 and d >= 1; or chunks of rows, which are read one after
                another and need not fit into memory together. Every record is one row of one chunk. Longer rows than
                the bound are scaled down to it; rows that are not finite count as zero.
            bound: largest L2 norm of a row, > 0.
            ledger: is charged before the first draw, and so are the ledgers that the rows carry; each under its own
                adjacency.
            noise: where randomness comes from.
            where: place of the release, kept in the ledger.

        Returns:
            Noisy sum, float64, shape (d,), on the CPU.

        Raises:
            ValueError: there is no chunk, or a chunk has another shape than the first one.
            TypeError: a chunk is no tensor of real numbers.
            BudgetExceeded: a ledger refuses; nothing was drawn.
        """
        check.real(bound=bound, above=0.0, below=float("inf"))
        chunks = iter([values] if isinstance(values, Private | Tensor) else values)
        first = next(chunks, None)
        if first is None:
            raise ValueError("values has no chunk; without any record give one of shape (0, d), so that d is known")
        width, own = _opened(first).shape[1], list(ledgers_of(first, but=ledger))
        for shared in own:
            shared.charge(self.event(shared.adjacency), where=where)
        ledger.charge(self.event(ledger.adjacency), where=where)
        points = torch.zeros(width, dtype=torch.int64)
        for rows in _checked(chain([first], chunks), width, ledger, own):
            for block in rows.split(max(1, _AT_ONCE // width)):
                points += _on_grid(block, bound)
        noisy = points.double() / _GRID + noise.normal((width,), std=self.sigma)
        return coarsen(noisy, std=self.sigma) * bound


def unit_sensitivity(adjacency: str) -> float:
    """How far a sum of vectors of norm at most 1, one per record, moves when one record changes.

    Args:
        adjacency: "add-remove" or "zero-out" (1.0), or "replace-one" (2.0: one vector leaves, another one comes).

    Raises:
        ValueError: another word.
    """
    if adjacency in ("add-remove", "zero-out"):
        return 1.0
    if adjacency == "replace-one":
        return 2.0
    raise ValueError(f"adjacency={adjacency!r}; allowed are 'add-remove', 'zero-out' and 'replace-one'")


def _on_grid(rows: Tensor, bound: float) -> Tensor:
    """Sum of the clipped rows in grid points, int64, shape (d,); exact."""
    scaled = rows.detach().cpu().double() / bound
    norms = torch.linalg.vector_norm(scaled, dim=1, keepdim=True)
    usable = norms.isfinite()
    # The norm is off by less than d 2^-53 of itself: rounded up, and then the clipped row is never too long.
    factors = (1.0 / (norms * (1.0 + (rows.shape[1] + 8) * 2.0**-52))).clamp(max=1.0)
    if not bool(usable.all()):
        scaled = torch.where(usable, scaled, 0.0)
        factors = torch.where(usable, factors, 0.0)
    return scaled.mul_(factors * _GRID).trunc_().sum(dim=0).long()


def _checked(chunks: Iterable[Rows], width: int, ledger: Ledger, own: list[Ledger]) -> Iterator[Tensor]:
    """The tensors of the chunks, all of one width and under the same ledgers."""
    for chunk in chunks:
        rows = _opened(chunk)
        if rows.shape[1] != width:
            raise ValueError(f"a chunk has rows of {rows.shape[1]} numbers, the first one of {width}; give one shape")
        if list(map(id, ledgers_of(chunk, but=ledger))) != list(map(id, own)):
            raise ValueError("the chunks carry different ledgers, of which one was charged; release their sums apart")
        yield rows


def _opened(chunk: Rows) -> Tensor:
    rows = chunk.unsafe_value() if isinstance(chunk, Private) else chunk
    if not isinstance(rows, Tensor) or rows.is_complex() or rows.dtype == torch.bool:
        kind = rows.dtype if isinstance(rows, Tensor) else type(rows).__name__
        raise TypeError(f"a chunk is {kind}; give tensors of real numbers, one row per record")
    if rows.dim() != 2 or rows.shape[1] < 1:
        raise ValueError(f"rows must have shape (records >= 0, numbers >= 1), got {tuple(rows.shape)}")
    return rows
