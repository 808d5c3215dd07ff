"""Events of several records of one person, where they differ in kind from those of one record."""

from fractions import Fraction

from accountants.adjacency import Adjacency
from accountants.events.event import Event, Parts
from accountants.events.fields import integer, real
from accountants.events.gaussian import Gaussian
from accountants.events.registry import event
from accountants.events.sampling import PoissonSampled
from accountants.numerics.rounding import fraction_down


@event("group_poisson_gaussian", adjacencies=(Adjacency.ADD_REMOVE, Adjacency.ZERO_OUT))
class GroupSampledGaussian(Event):
    """Gaussian noise on the sum over a Poisson-sampled batch, for a person who has up to `size` of the records.

    The number J of the person's records in the batch is binomial, so the worst pair is the mixture of N(J, sigma^2)
    against N(0, sigma^2), in both directions.

    Attributes:
        sigma: noise standard deviation / clipping norm per record, >= 0; 0 means no privacy.
        q: sampling probability of every record, independently, in [0, 1].
        size: most records that the person has, >= 1; 1 is `Gaussian(sigma).poisson(q)`.

    Adjacency: add-remove and zero-out, of all records of the person at once.

    Proof that this pair is the worst one: let the records contribute v_1, v_2, ... of norm <= 1, and V_S be the sum over a
    set S of them. Under the noise alone the likelihood ratio is the mean of e^(X_S - Var(X_S) / 2) over the sampled S,
    with jointly Gaussian X_S of covariances <V_S, V_T> / sigma^2. Hockey sticks in both directions are convex functions of
    the ratio, whose means do not fall in any covariance (Kahane 1985), and <V_S, V_T> <= |S| |T|, attained by equal
    unit vectors. A person with fewer records is one some of whose records contribute 0.
    """

    sigma: float = real(at_least=0.0)
    q: float = real(at_least=0.0, at_most=1.0)
    size: int = integer(at_least=1)

    def simplify(self, count: int, parts: Parts) -> None:
        if self.size == 1:
            parts.collect(PoissonSampled(self.q, Gaussian(self.sigma)), count)
        elif self.q == 1.0:
            parts.add(Gaussian(fraction_down(Fraction(self.sigma) / self.size)), count)
        elif self.q > 0.0:
            parts.add(self, count)
