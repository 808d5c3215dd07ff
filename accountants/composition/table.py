"""The methods, in the order in which they are asked."""

from collections.abc import Iterator

from accountants.methods.method import Method

METHODS = ("auto", "gaussian", "response", "sampled-once", "fourier", "lattice", "renyi")

_LONG = 500  # releases from which Fourier inversion with noise beats the lattice


def tight_methods(releases: int = _LONG) -> Iterator[Method]:
    """The methods that are tight at both ends wherever they apply, best first.

    Each is imported when its turn comes: the first that applies usually answers, and their numerics take a tenth of a
    second to load.

    Args:
        releases: how many are composed. For few, the lattice is quicker and tighter than Fourier inversion with noise.
    """
    from accountants.methods.exact.methods import GAUSSIAN, RESPONSE, SAMPLED_ONCE

    yield from (GAUSSIAN, RESPONSE, SAMPLED_ONCE)
    from accountants.methods.fourier.accountant import FOURIER, FOURIER_WITHOUT_NOISE

    yield FOURIER if releases >= _LONG else FOURIER_WITHOUT_NOISE
    from accountants.methods.lattice.accountant import LATTICE

    yield LATTICE
    if releases < _LONG:
        yield FOURIER
