"""Events on samples of the records: one event per way in which a loader can draw its batches.

They are never exchanged silently: what a loader did decides which one is charged.
"""

from dataclasses import dataclass, field
from typing import ClassVar

from accountants import check
from accountants.adjacency import Adjacency
from accountants.events.event import MAX_COUNT, Event, as_operand, depth_above, number_text, require_event

__all__ = ["FixedSizeSampled", "PoissonSampled", "RandomAllocation", "Shuffled"]

_PRESENT_OR_NOT = frozenset({Adjacency.ADD_REMOVE, Adjacency.ZERO_OUT})


@dataclass(frozen=True, slots=True, repr=False)
class PoissonSampled(Event):
    """An event on a batch that every record enters independently with probability `q`.

    Only for loaders that really draw Poisson batches; shuffled or fixed-size batches are other events.

    Attributes:
        q: sampling probability, in [0, 1].
        event: what is run on the batch; all parts of a composition see the same batch. Its parameters are stated for
            adding or removing one record of the batch, under every adjacency: the sigma of a Gaussian is relative to
            the clipping norm per example.

    Adjacency: that of the inner event. Under replace-one the record's contribution changes from g to g', both in the unit
    ball. The worst pair is g = -g', |g| = 1, i.e. A = (1-q) N(0, s^2) + q N(1, s^2) against B = (1-q) N(0, s^2) +
    q N(-1, s^2). Proof: for e^eps = y >= 1, H_y(A | B) = q times the integral of (N_g - y N_g' - c N_0)_+ with
    c = (1-q)(y-1)/q >= 0. Under N_g the likelihood ratios are e^X and e^Y with jointly Gaussian exponents whose
    covariance entries are |g-g'|^2, |g|^2 and <g-g', g>, all divided by s^2. E(1 - y e^X - c e^Y)_+ is nondecreasing in
    each of these entries (Kahane's comparison, as t -> (1-t)_+ is convex), and all three are largest at g' = -g, |g| = 1.
    y < 1 follows by symmetry.
    """

    q: float
    event: Event
    _depth: int = field(init=False, compare=False)

    type_name: ClassVar[str] = "poisson_sampled"

    def __post_init__(self) -> None:
        """Check the fields."""
        check.real(q=self.q, at_least=0.0, at_most=1.0)
        require_event(event=self.event)
        object.__setattr__(self, "q", float(self.q) + 0.0)
        object.__setattr__(self, "_depth", depth_above(self.event))

    @property
    def adjacencies(self) -> frozenset[Adjacency]:
        """Those of the inner event; an accountant may support fewer."""
        return self.event.adjacencies

    @property
    def depth(self) -> int:
        """One more than the inner event's."""
        return self._depth

    def __repr__(self) -> str:
        """For example `gaussian(1.1).poisson(0.01)`."""
        return f"{as_operand(self.event)}.poisson({number_text(self.q)})"


@dataclass(frozen=True, slots=True, repr=False)
class FixedSizeSampled(Event):
    """An event on a batch of exactly `m` of the `n` records, drawn uniformly without replacement.

    Attributes:
        m: size of the batch, 0 to n.
        n: number of records, public, >= 1.
        event: what is run on the batch; all parts of a composition see the same batch. Its parameters are stated for
            REPLACING one record of the batch: if gradients are clipped per example, the sensitivity is twice the clipping
            norm, so the sigma of a Gaussian is half of what it would be inside `.poisson(q)`.

    Adjacency: replace-one, if the inner event is stated for it.
    Source: Balle, Barthe, Gaboardi 2018; Wang, Balle, Kasiviswanathan 2019.
    """

    m: int
    n: int
    event: Event
    _depth: int = field(init=False, compare=False)

    type_name: ClassVar[str] = "fixed_size_sampled"

    def __post_init__(self) -> None:
        """Check the fields."""
        check.integer(n=self.n, at_least=1, at_most=MAX_COUNT)
        check.integer(m=self.m, at_least=0, at_most=int(self.n))
        require_event(event=self.event)
        object.__setattr__(self, "m", int(self.m))
        object.__setattr__(self, "n", int(self.n))
        object.__setattr__(self, "_depth", depth_above(self.event))

    @property
    def adjacencies(self) -> frozenset[Adjacency]:
        """replace-one, if the inner event is stated for it."""
        return self.event.adjacencies & {Adjacency.REPLACE_ONE}

    @property
    def depth(self) -> int:
        """One more than the inner event's."""
        return self._depth

    def __repr__(self) -> str:
        """For example `gaussian(2).fixed_size(m=100, n=60000)`."""
        return f"{as_operand(self.event)}.fixed_size(m={self.m}, n={self.n})"


@dataclass(frozen=True, slots=True, repr=False)
class Shuffled(Event):
    """An event on every batch of a shuffled data set; each epoch is shuffled anew and uses every record once.

    No amplification by shuffling is certified: an epoch costs one release of the event. Only the batch of a record sees
    it, and the batches together are one release. Poisson accounting of shuffled batches is wrong (too low).

    Attributes:
        batch: size of a batch, 1 to n.
        n: number of records, public, >= 1.
        epochs: number of passes, >= 0.
        event: what is run on one batch. Its parameters are stated for one record of the batch that becomes empty: the
            sigma of a Gaussian is relative to the clipping norm per example.

    Adjacency: zero-out, where the place of the absent record stays EMPTY. Without it n would change, with it the batches of
    other records, and perhaps the number of batches: add-remove is not covered.
    Source: lower bounds that forbid Poisson accounting: Chua et al. 2024, arXiv 2411.04205.
    """

    batch: int
    n: int
    epochs: int
    event: Event
    _depth: int = field(init=False, compare=False)

    type_name: ClassVar[str] = "shuffled"

    def __post_init__(self) -> None:
        """Check the fields."""
        check.integer(n=self.n, at_least=1, at_most=MAX_COUNT)
        check.integer(batch=self.batch, at_least=1, at_most=int(self.n))
        check.integer(epochs=self.epochs, at_least=0, at_most=MAX_COUNT)
        require_event(event=self.event)
        for name in ("batch", "n", "epochs"):
            object.__setattr__(self, name, int(getattr(self, name)))
        object.__setattr__(self, "_depth", depth_above(self.event))

    @property
    def adjacencies(self) -> frozenset[Adjacency]:
        """zero-out, if the inner event is stated for it."""
        return self.event.adjacencies & {Adjacency.ZERO_OUT}

    @property
    def depth(self) -> int:
        """One more than the inner event's."""
        return self._depth

    def __repr__(self) -> str:
        """For example `gaussian(1.1).shuffled(batch=100, n=60000, epochs=5)`."""
        return f"{as_operand(self.event)}.shuffled(batch={self.batch}, n={self.n}, epochs={self.epochs})"


@dataclass(frozen=True, slots=True, repr=False)
class RandomAllocation(Event):
    """An event in each of `steps` rounds, of which every record enters `selected`, drawn by itself and uniformly.

    Attributes:
        steps: rounds of an epoch, >= 1.
        selected: rounds that a record enters, 0 to steps.
        epochs: how often the whole is repeated with a fresh allocation, >= 0.
        event: what is run in one round. Its parameters are stated for adding or removing one record of the batch: the
            sigma of a Gaussian is relative to the clipping norm per example.

    Adjacency: add-remove and zero-out, if the inner event is stated for them; the choice of a record's rounds depends on no
    other record.
    Source: Feldman and Shenfeld 2025, arXiv 2502.08202.
    """

    steps: int
    selected: int
    epochs: int
    event: Event
    _depth: int = field(init=False, compare=False)

    type_name: ClassVar[str] = "random_allocation"

    def __post_init__(self) -> None:
        """Check the fields."""
        check.integer(steps=self.steps, at_least=1, at_most=MAX_COUNT)
        check.integer(selected=self.selected, at_least=0, at_most=int(self.steps))
        check.integer(epochs=self.epochs, at_least=0, at_most=MAX_COUNT)
        require_event(event=self.event)
        for name in ("steps", "selected", "epochs"):
            object.__setattr__(self, name, int(getattr(self, name)))
        object.__setattr__(self, "_depth", depth_above(self.event))

    @property
    def adjacencies(self) -> frozenset[Adjacency]:
        """add-remove and zero-out, if the inner event is stated for them."""
        return self.event.adjacencies & _PRESENT_OR_NOT

    @property
    def depth(self) -> int:
        """One more than the inner event's."""
        return self._depth

    def __repr__(self) -> str:
        """For example `gaussian(1.1).random_allocation(steps=600, selected=1, epochs=5)`."""
        inside = f"steps={self.steps}, selected={self.selected}, epochs={self.epochs}"
        return f"{as_operand(self.event)}.random_allocation({inside})"
