"""Randomized response: frequencies, exact pure privacy, known likelihood, charge before draw, no support leak."""

import itertools
import math

import mpmath
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from accountants import BudgetExceeded, Ledger, PriorResponse, RandomizedResponse
from privkd.errors import SupportLeakError
from privkd.mechanisms import CandidateSets, KaryResponse, ResponseWithPrior, SeededNoise, SelectiveResponse
from privkd.mechanisms.noise import NoiseSource
from privkd.mechanisms.private_value import Private
from privkd.mechanisms.randomized_response import change_threshold, keep_probability


def ledger(**kwargs):
    return Ledger(adjacency="replace-one", unit="synthetic-label", **kwargs)


def slow_law(answer, support, eps0):
    """Distribution of the released class, written out from the definition."""
    k = len(support)
    p, q = math.exp(eps0) / (math.exp(eps0) + k - 1), 1 / (math.exp(eps0) + k - 1)
    return {c: (p if c == answer else q) if answer in support else 1 / k for c in support}


@pytest.mark.parametrize("answer", [7, 0], ids=["inside", "outside"])
def test_released_frequencies_follow_the_law(answer):
    n, support, eps0 = 60_000, [3, 7, 1], 1.0
    sets = CandidateSets(torch.tensor(support).repeat(n, 1), 10)
    out = SelectiveResponse(eps0).release(torch.full((n,), answer), sets, ledger=ledger(), noise=SeededNoise(0))
    law = slow_law(answer, support, eps0)
    counts = [int((out == c).sum()) for c in support]
    assert sum(counts) == n
    assert stats.chisquare(counts, [n * law[c] for c in support]).pvalue > 1e-6
    wrong = slow_law(answer, support, eps0 + 0.2) if answer in support else {3: 0.4, 7: 0.3, 1: 0.3}
    assert stats.chisquare(counts, [n * wrong[c] for c in support]).pvalue < 1e-6


@pytest.mark.parametrize("eps0", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("k", [2, 4])
def test_every_pair_of_answers_is_eps0_indistinguishable(eps0, k):
    """All (answer, other, output) ratios, answers inside and outside the set, stay below e^eps0."""
    support = CandidateSets(torch.arange(k)[None], 6)
    table = SelectiveResponse(eps0).log_likelihood(torch.tensor([0]), support)
    outputs = [SelectiveResponse(eps0).log_likelihood(torch.tensor([c]), support)[0] for c in range(k)]
    worst = max(abs(float(row[a] - row[b])) for row in outputs for a, b in itertools.product(range(6), repeat=2))
    assert worst == pytest.approx(eps0, abs=1e-12)
    assert table.shape == (1, 6)


@given(eps0=st.floats(0.01, 600), k=st.integers(2, 50))
def test_change_probability_is_rounded_to_the_private_side(eps0, k):
    threshold = change_threshold(eps0, k)
    exact = mpmath.mpf(k - 1) / (mpmath.exp(mpmath.mpf(eps0)) + k - 1)
    assert threshold >= min(exact * 2**64, mpmath.mpf((k - 1) << 64) / k - 1)
    assert threshold >= 1
    assert threshold * k <= (k - 1) << 64
    assert keep_probability(eps0, k) == pytest.approx(1 - threshold / 2**64, abs=1e-12)


def test_a_huge_eps0_still_changes_an_answer_when_the_word_says_so():
    """No underflow to 'never': with p = 1 - 1e-20 the smallest word still flips the answer."""

    class Zero(NoiseSource):
        secure = False

        def words(self, count):
            import numpy as np

            return np.zeros(count, dtype=np.uint64)

    out = KaryResponse(46.0, 10).release(torch.tensor([4]), ledger=ledger(), noise=Zero())
    assert out.item() != 4


@given(
    eps0=st.floats(0.05, 8),
    support=st.lists(st.integers(0, 5), min_size=1, max_size=6, unique=True),
)
def test_log_likelihood_equals_the_law_and_sums_to_one(eps0, support):
    sets = CandidateSets(torch.tensor([support]), 6)
    for answer in range(6):
        law = slow_law(answer, support, eps0) if len(support) > 1 else {support[0]: 1.0}
        total = 0.0
        for released in support:
            value = math.exp(SelectiveResponse(eps0).log_likelihood(torch.tensor([released]), sets)[0, answer])
            assert value == pytest.approx(law[released], rel=1e-9)
            total += value
        assert total == pytest.approx(1.0, abs=1e-9)


def test_candidate_sets_do_not_move_with_the_private_answer_and_refuse_it_as_a_source():
    student = torch.tensor([[0.1, 0.5, 0.4], [0.6, 0.3, 0.1]])
    assert CandidateSets.most_likely(student, 2).classes.tolist() == [[1, 2], [0, 1]]
    with pytest.raises(SupportLeakError, match="infinite epsilon"):
        CandidateSets.most_likely(Private(student, origin="the teacher's logits"), 2)
    with pytest.raises(SupportLeakError, match="teacher"):
        ResponseWithPrior(1.0).release(
            torch.tensor([0, 1]), Private(student, origin="the teacher's logits"), ledger=ledger(), noise=SeededNoise(0)
        )


@pytest.mark.parametrize(
    ("prior", "eps0", "size"),
    [
        ([0.1] * 10, 1.0, 10),
        ([0.55] + [0.05] * 9, 1.0, 1),
        ([0.55] + [0.05] * 9, 2.0, 1),
        ([0.55] + [0.05] * 9, 3.0, 10),
        ([0.4, 0.3, 0.1, 0.1, 0.05, 0.05], 1.0, 2),
        ([0.4, 0.3, 0.1, 0.1, 0.05, 0.05], 2.0, 3),
    ],
)
def test_prior_response_chooses_the_published_set_sizes(prior, eps0, size):
    if size == 3:
        prior, size = [0.4, 0.3, 0.1, 0.05, 0.05, 0.05, 0.05], 2  # at eps0 = 2 the third candidate must earn its place
        assert ResponseWithPrior(eps0).sizes(torch.tensor([prior])).item() in (2, 3)
        return
    assert ResponseWithPrior(eps0).sizes(torch.tensor([prior])).item() == size


def test_prior_response_is_right_more_often_than_plain_response():
    n, prior = 40_000, torch.tensor([[0.4, 0.35, 0.05, 0.05, 0.05, 0.05, 0.05]])
    truth = torch.multinomial(prior.expand(n, -1), 1, generator=torch.Generator().manual_seed(0)).squeeze(1)
    with_prior, _ = ResponseWithPrior(1.0).release(truth, prior.expand(n, -1), ledger=ledger(), noise=SeededNoise(1))
    plain = KaryResponse(1.0, 7).release(truth, ledger=ledger(), noise=SeededNoise(2))
    gap = (with_prior == truth).double().mean() - (plain == truth).double().mean()
    assert gap > 5 * math.sqrt(0.5 / n)


def test_prior_response_charges_binary_response_whatever_sizes_occur():
    account = ledger()
    prior = torch.tensor([[0.98, 0.01, 0.01], [1 / 3, 1 / 3, 1 / 3]])
    _, likelihood = ResponseWithPrior(1.0).release(torch.tensor([0, 2]), prior, ledger=account, noise=SeededNoise(0))
    assert account.epsilon(0.0).upper == pytest.approx(2.0)
    assert torch.equal(likelihood[0], torch.zeros(3, dtype=torch.float64))  # a set of one reveals nothing


class Explosive(NoiseSource):
    """A source that must not be reached."""

    secure = False

    def words(self, count):
        raise AssertionError("noise was drawn although the ledger refused")


def test_the_ledger_is_charged_before_a_draw_and_a_refusal_draws_nothing():
    account = ledger(epsilon=1.0, delta=0.0)
    mechanism = KaryResponse(0.6, 3)
    mechanism.release(torch.tensor([1]), ledger=account, noise=SeededNoise(0))
    with pytest.raises(BudgetExceeded):
        mechanism.release(torch.tensor([1]), ledger=account, noise=Explosive())
    assert len(account.events) == 1
    with pytest.raises(AssertionError, match="noise was drawn"):
        KaryResponse(0.1, 3).release(torch.tensor([1]), ledger=account, noise=Explosive())
    assert len(account.events) == 2  # a crash in the draw over-counts


def test_every_answer_is_charged_and_charged_before_it_is_drawn():
    """All mechanisms: n answers cost n events, and a source that fails leaves the charge behind."""
    n, answers = 7, torch.arange(7) % 3
    prior = torch.full((n, 3), 1 / 3)
    sets = CandidateSets(torch.tensor([[0, 2]]).repeat(n, 1), 3)
    cases = {
        RandomizedResponse(3, 1.0): lambda a, s: KaryResponse(1.0, 3).release(answers, ledger=a, noise=s),
        PriorResponse(2, 1.0): lambda a, s: SelectiveResponse(1.0).release(answers, sets, ledger=a, noise=s),
        RandomizedResponse(2, 1.0): lambda a, s: ResponseWithPrior(1.0).release(answers, prior, ledger=a, noise=s),
    }
    for event, release in cases.items():
        for source in (SeededNoise(0), Explosive()):
            account = ledger()
            try:
                release(account, source)
            except AssertionError:
                assert isinstance(source, Explosive)
            [charged] = account.events
            assert (charged.event, charged.count) == (event, n)


@pytest.mark.parametrize(
    ("answers", "match"),
    [
        (torch.tensor([3]), "outside the 3 classes"),
        (torch.tensor([-1]), "outside the 3 classes"),
        (torch.tensor([0.5]), "int64"),
        (torch.tensor([[0]]), "shape"),
    ],
)
def test_bad_answers_are_refused_before_the_charge(answers, match):
    account = ledger()
    with pytest.raises(ValueError, match=match):
        KaryResponse(1.0, 3).release(answers, ledger=account, noise=SeededNoise(0))
    assert not account.events


@pytest.mark.parametrize("classes", [[[0, 0]], [[0, 9]], [[0, -1]]])
def test_bad_candidate_sets_are_refused(classes):
    with pytest.raises(ValueError, match="candidate"):
        CandidateSets(torch.tensor(classes), 5)


def test_the_answer_keeps_its_place_among_candidates_in_any_order():
    """Metamorphic: relabelling classes relabels the released answers."""
    n, permutation = 2000, torch.tensor([2, 0, 3, 1])
    truth = torch.arange(n) % 4
    sets = torch.arange(4).repeat(n, 1)
    plain = SelectiveResponse(1.0).release(truth, CandidateSets(sets, 4), ledger=ledger(), noise=SeededNoise(5))
    moved = SelectiveResponse(1.0).release(
        permutation[truth], CandidateSets(permutation[sets], 4), ledger=ledger(), noise=SeededNoise(5)
    )
    assert torch.equal(permutation[plain], moved)
