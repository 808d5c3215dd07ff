"""The published epsilon as a whole: answers and release together, for all votes of sixty teachers and all neighbours."""

import math

import numpy as np
import pytest
from scipy.special import ndtr

from accountants.pate.epsilon import pate_epsilon
from accountants.pate.release import Smoothing

TEACHERS, DELTA = 60, 0.05
DRAWS = np.arange(-8.0, 8.0, 0.2)
WEIGHTS = np.exp(-0.5 * DRAWS**2) / math.sqrt(2 * math.pi) * 0.2


def observer(votes, sigma, smoothing):
    """What the outputs look like at one data set: answer probabilities, mean and scale of the number, epsilon per draw."""
    plan = pate_epsilon([votes], sigma, DELTA, teachers=TEACHERS, disclose="smooth-sensitivity", smoothing=smoothing)
    lead = (votes[0] - votes[1]) / (math.sqrt(2) * sigma)
    scale = smoothing.noise_multiplier * plan.sensitivity.unsafe_value()
    epsilons = np.array([plan.finish(float(draw)).epsilon for draw in DRAWS])
    return (float(ndtr(lead)), float(ndtr(-lead))), plan.cost.unsafe_value() + plan.margin * scale, scale, epsilons


def failure(here, there, *, discount):
    """E_P[(1 - e^(epsilon - loss))_+] with the loss of answer and number together; epsilon is scaled by `discount`."""
    answers, mean, scale, epsilons = here
    other_answers, other_mean, other_scale, _ = there
    other_draws = (mean + scale * DRAWS - other_mean) / other_scale
    loss_of_number = 0.5 * other_draws**2 - 0.5 * DRAWS**2 + math.log(other_scale / scale)
    total = 0.0
    for p, q in zip(answers, other_answers, strict=True):
        excess = math.log(p / q) + loss_of_number - discount * epsilons
        total += p * float((WEIGHTS * -np.expm1(-np.maximum(excess, 0.0))).sum())
    return total


@pytest.mark.parametrize(
    ("sigma", "smoothing"),
    [(2.0, Smoothing(order=3.0, noise_multiplier=1.5)), (1.5, Smoothing(order=4.0, noise_multiplier=3.0))],
)
def test_published_epsilon_fails_with_at_most_delta_for_all_votes_and_neighbours(sigma, smoothing):
    # The two classes are alike, so half of the votes will do.
    seen = {
        votes: observer((votes, TEACHERS - votes), sigma, smoothing) for votes in range(TEACHERS // 2, TEACHERS + 1)
    }
    pairs = [(a, b) for a in seen for b in (a - 1, a + 1) if b in seen]
    assert max(failure(seen[a], seen[b], discount=1.0) for a, b in pairs) <= DELTA
    assert max(failure(seen[a], seen[b], discount=0.2) for a, b in pairs) > DELTA  # a fifth of it would be too little
    middle = len(DRAWS) // 2
    assert (
        seen[TEACHERS][3][middle] < 0.9 * seen[TEACHERS // 2][3][middle]
    )  # and it is smaller where the teachers agree
