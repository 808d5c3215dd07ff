"""Gaussian noise on counts: a whole noisy histogram of votes or of records, or the argmax of one.

One changed record moves one unit of mass from one class to another in every row that its teacher answers: the L2
sensitivity of a row is sqrt(2), for whole votes and for averaged votes (points of the simplex) alike. Releasing the
histogram costs exactly the same as releasing its argmax under this accounting, so learners should use the histogram.
Source: GNMax, Papernot et al., arXiv 1802.08908; exact composition by Gaussian differential privacy.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int
from torch import Tensor

from accountants import Event, Ledger, check
from accountants import GNMax as GNMaxEvent
from privkd.mechanisms.charging import charge_all
from privkd.mechanisms.noise import NoiseSource, coarsen
from privkd.mechanisms.private_value import Private, unboxed
from privkd.plain import make_plain


@dataclass(frozen=True, slots=True)
class _NoisyCounts:
    """Counts with Gaussian noise of standard deviation sigma, which one changed record moves by sqrt(2)."""

    sigma: float

    def __post_init__(self) -> None:
        make_plain(self)
        check.real(sigma=self.sigma, at_least=0.0)

    def event(self) -> Event:
        """Cost of one row of votes (one query or one cluster of queries), of its label, or of a whole table of records."""
        return GNMaxEvent(sigma=self.sigma)


@dataclass(frozen=True, slots=True)
class VoteHistogram(_NoisyCounts):
    """Noisy vote counts of an ensemble whose teachers saw disjoint records.

    Args:
        sigma: noise std per count, in votes, >= 0 (0 is no privacy and is charged as infinite).
    """

    def release(
        self,
        votes: Private | Tensor,
        *,
        teachers: int,
        ledger: Ledger,
        noise: NoiseSource,
        where: str = "vote-histogram",
    ) -> Float64[Tensor, "q K"]:
        """Charge all rows at once, then add noise to every count.

        Args:
            votes: counts, shape (q, K), each row the sum over teachers of one point of the simplex.
            teachers: number of teachers, >= 2; every row must sum to it.
            ledger: is charged before the first draw, and so are the ledgers that the votes carry.
            noise: where randomness comes from.
            where: place of the release, kept in the ledger.

        Returns:
            Noisy counts, float64, shape (q, K), on the CPU.

        Raises:
            ValueError: not a (q, K) table of finite counts that sum to `teachers`.
            BudgetExceeded: the ledger refuses; nothing was drawn.
        """
        counts = unboxed(votes).double()
        if counts.dim() != 2 or counts.shape[0] < 1 or counts.shape[1] < 2:
            raise ValueError(f"votes must have shape (queries >= 1, classes >= 2), got {tuple(counts.shape)}")
        if not torch.isfinite(counts).all():
            raise ValueError("votes contain NaN or infinite counts; a teacher's answer must be a class")
        check.integer(teachers=teachers, at_least=2)
        if ((counts.sum(dim=1) - teachers).abs() > 1e-6 * teachers).any() or (counts < 0).any():
            raise ValueError(
                f"every row of votes must be non-negative and sum to teachers={teachers}: each teacher gives one unit "
                "of vote per row, otherwise the sensitivity is not sqrt(2)"
            )
        charge_all(ledger, votes, self.event(), count=len(counts), where=where)
        return coarsen(counts + noise.normal(tuple(counts.shape), std=self.sigma), std=self.sigma)


@dataclass(frozen=True, slots=True)
class GNMax(_NoisyCounts):
    """Argmax of a noisy vote histogram: the classic label-only release.

    Args:
        sigma: noise std per count, in votes, >= 0.
    """

    def release(
        self, votes: Private | Tensor, *, teachers: int, ledger: Ledger, noise: NoiseSource, where: str = "gnmax"
    ) -> Int[Tensor, " q"]:
        """Charge all rows, then draw one label each; arguments and errors as `VoteHistogram.release`.

        Returns:
            Class index per row, int64, shape (q,).
        """
        histogram = VoteHistogram(self.sigma)
        return histogram.release(votes, teachers=teachers, ledger=ledger, noise=noise, where=where).argmax(dim=1)


@dataclass(frozen=True, slots=True)
class CellHistogram(_NoisyCounts):
    """Noisy label counts per cell, where every RECORD adds one unit to one (cell, class) entry.

    The whole table is one release of L2 sensitivity sqrt(2) under replace-one, however many cells there are.

    Args:
        sigma: noise std per count, in records, >= 0.

    Source: record-level voting (reverse nearest neighbours), Li et al., arXiv 2207.13253; cells are public clusters.
    """

    def release(
        self,
        cells: Private,
        labels: Private,
        *,
        shape: tuple[int, int],
        ledger: Ledger,
        noise: NoiseSource,
        where: str = "cell-histogram",
    ) -> Float64[Tensor, "C K"]:
        """Charge once, then add noise to every count.

        Args:
            cells: cell index of each record, int64, shape (n,).
            labels: class index of each record, int64, shape (n,).
            shape: (number of cells C, number of classes K).
            ledger: is charged before the first draw, and so are the ledgers that the labels carry.
            noise: where randomness comes from.
            where: place of the release, kept in the ledger.

        Returns:
            Noisy counts, float64, shape (C, K), on the CPU.

        Raises:
            ValueError: an index lies outside the table or the lengths differ.
            BudgetExceeded: the ledger refuses; nothing was drawn.
        """
        rows, columns = unboxed(cells), unboxed(labels)
        if rows.shape != columns.shape or rows.dim() != 1 or not len(rows):
            raise ValueError(
                f"cells {cells.shape} and labels {labels.shape} must be two non-empty vectors of one length"
            )
        for name, values, limit in (("cells", rows, shape[0]), ("labels", columns, shape[1])):
            if int(values.min()) < 0 or int(values.max()) >= limit:
                raise ValueError(f"{name} must lie in [0, {limit}); the table has shape {shape}")
        counts = torch.zeros(shape, dtype=torch.float64)
        counts.index_put_((rows, columns), torch.ones(len(rows), dtype=torch.float64), accumulate=True)
        charge_all(ledger, labels, self.event(), count=1, where=where)
        return coarsen(counts + noise.normal(tuple(counts.shape), std=self.sigma), std=self.sigma)
