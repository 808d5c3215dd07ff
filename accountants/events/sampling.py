"""Events on samples of the records: one event per way in which a loader can draw its batches.

They are never exchanged silently: what a loader did decides which one is charged.
"""

import math

from accountants.adjacency import Adjacency
from accountants.events.claims import PureDP
from accountants.events.combinators import SingleInside, as_operand
from accountants.events.event import Event, Parts, require_countable
from accountants.events.fields import integer, real
from accountants.events.gaussian import Gaussian
from accountants.events.normal_form import as_event, normal_form
from accountants.events.registry import event
from accountants.events.serialization import arguments_text, parameter_names


class Sampled(SingleInside):
    """An event on a sample of the records, as a method of `Event` makes it."""

    __slots__ = ()

    def __repr__(self) -> str:
        """For example `gaussian(1.1).poisson(0.01)`."""
        names = [name for name in parameter_names(type(self)) if name != "event"]
        return f"{as_operand(self.event)}.{self._method}({arguments_text(self, names)})"


@event("poisson_sampled", method="poisson")
class PoissonSampled(Sampled):
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

    q: float = real(at_least=0.0, at_most=1.0)
    event: Event

    def simplify(self, count: int, parts: Parts) -> None:
        # What is inside is stated for adding or removing a record, under every adjacency.
        present_or_not = parts.adjacency in (Adjacency.ADD_REMOVE, Adjacency.ZERO_OUT)
        if self.q == 1.0 and present_or_not:
            parts.collect(self.event, count)
            return
        inner = normal_form(self.event, adjacency=parts.adjacency if present_or_not else None) if self.q > 0.0 else {}
        if not inner:
            return
        inside, q = as_event(inner), self.q
        if isinstance(inside, PoissonSampled):
            # A sample of a sample is a sample; rounded up because a larger q never costs less.
            exact = 1.0 in (q, inside.q)
            q = q * inside.q if exact else min(1.0, math.nextafter(q * inside.q, 1.0))
            inside = inside.event
        if q == 1.0 and parts.adjacency is Adjacency.REPLACE_ONE and isinstance(inside, Gaussian):
            parts.add(Gaussian(0.5 * inside.sigma), count)  # from one end of the unit ball to the other
        else:
            parts.add(PoissonSampled(q, inside), count)


@event("fixed_size_sampled", method="fixed_size", adjacencies=(Adjacency.REPLACE_ONE,))
class FixedSizeSampled(Sampled):
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

    m: int = integer(at_least=0, at_most="n")
    n: int = integer(at_least=1)
    event: Event

    def simplify(self, count: int, parts: Parts) -> None:
        if self.m == self.n:
            parts.collect(self.event, count)
            return
        inner = normal_form(self.event, adjacency=parts.adjacency) if self.m > 0 else {}
        if inner:
            parts.add(FixedSizeSampled(self.m, self.n, as_event(inner)), count)


@event("shuffled", method="shuffled", adjacencies=(Adjacency.ZERO_OUT,))
class Shuffled(Sampled):
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

    batch: int = integer(at_least=1, at_most="n")
    n: int = integer(at_least=1)
    epochs: int = integer(at_least=0)
    event: Event

    def simplify(self, count: int, parts: Parts) -> None:
        parts.collect(self.event, count * self.epochs)

    def certain_part(self) -> Event:
        return PureDP(0.0)  # nothing: shuffling may amplify


@event("random_allocation", method="random_allocation", adjacencies=(Adjacency.ADD_REMOVE, Adjacency.ZERO_OUT))
class RandomAllocation(Sampled):
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

    steps: int = integer(at_least=1)
    selected: int = integer(at_least=0, at_most="steps")
    epochs: int = integer(at_least=0)
    event: Event

    def simplify(self, count: int, parts: Parts) -> None:
        count *= self.epochs
        require_countable(self, count)
        if self.selected == self.steps:
            parts.collect(self.event, count * self.steps)
            return
        inner = normal_form(self.event, adjacency=parts.adjacency) if self.selected > 0 else {}
        if not inner or count == 0:
            return
        inside = as_event(inner)
        epoch = Gaussian(0.0) if inside == Gaussian(0.0) else RandomAllocation(self.steps, self.selected, 1, inside)
        parts.add(epoch, count)
