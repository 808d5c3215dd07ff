"""Corrections for noisy channels against loops over rows, annotators and classes, and what they are unbiased for."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from privkd.losses import backward_nll, cross_entropy, forward_nll, likelihood_nll, posterior, reweight_nll

B, R, K = 4, 3, 3


def logits(seed=0):
    return torch.randn(B, K, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def channels(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(*shape, K, K, dtype=torch.float64, generator=generator)
    matrices = noise + 2 * torch.eye(K, dtype=torch.float64)
    return matrices / matrices.sum(-1, keepdim=True)


def one_of_each(channel, i, r):
    return {2: lambda: channel, 3: lambda: channel[i], 4: lambda: channel[i, r]}[channel.dim()]()


SLOW = {
    forward_nll: lambda p, y, t: -math.log(sum(p[k] * float(t[k, y]) for k in range(K)) + 1e-8),
    backward_nll: lambda p, y, t: sum(float(torch.linalg.inv(t)[y, k]) * -math.log(p[k]) for k in range(K)),
    reweight_nll: lambda p, y, t: min(10.0, p[y] / sum(p[k] * float(t[k, y]) for k in range(K))) * -math.log(p[y]),
}


def slow_mean(loss, scores, labels, channel):
    total = count = 0
    for i, row in enumerate(labels.reshape(B, -1).tolist()):
        p = scores[i].softmax(0).tolist()
        for r, y in enumerate(row):
            if y >= 0:
                total += SLOW[loss](p, y, one_of_each(channel, i, r))
                count += 1
    return total / count if count else 0.0


@pytest.mark.filterwarnings("ignore:backward_nll is unbounded")
@pytest.mark.parametrize("loss", SLOW)
@pytest.mark.parametrize("shape", [(), (B,), (B, R)])
@settings(max_examples=10)
@given(labels=st.lists(st.lists(st.integers(-1, K - 1), min_size=R, max_size=R), min_size=B, max_size=B))
def test_corrections_agree_with_loops_for_every_kind_of_channel(loss, shape, labels):
    labels, channel = torch.tensor(labels), channels(*shape)
    value = loss(logits(), labels, channel)
    assert math.isclose(value, slow_mean(loss, logits(), labels, channel), rel_tol=1e-11, abs_tol=1e-12)
    if len(shape) < 2:
        value = loss(logits(), labels[:, 0], channel)
        assert math.isclose(value, slow_mean(loss, logits(), labels[:, 0], channel), rel_tol=1e-11, abs_tol=1e-12)


@pytest.mark.filterwarnings("ignore:backward_nll is unbounded")
@pytest.mark.parametrize("loss", SLOW)
def test_a_channel_without_noise_leaves_the_cross_entropy(loss):
    labels = torch.tensor([0, 2, -1, 1])
    # The 1e-8 under the logarithm, over probabilities above 0.05.
    assert math.isclose(loss(logits(), labels, torch.eye(K).double()), cross_entropy(logits(), labels), abs_tol=1e-6)
    assert not math.isclose(loss(logits(), labels, channels()), cross_entropy(logits(), labels), abs_tol=1e-2)


@pytest.mark.filterwarnings("ignore:backward_nll is unbounded")
@pytest.mark.parametrize("loss", SLOW)
def test_a_channel_of_double_precision_serves_single_precision_logits(loss):
    single = loss(logits().float(), torch.tensor([0, 2, -1, 1]), channels())
    assert single.dtype == torch.float32
    # Some ten operations in float32 on numbers of order 1.
    assert math.isclose(single, loss(logits(), torch.tensor([0, 2, -1, 1]), channels()), rel_tol=1e-5)


@pytest.mark.filterwarnings("ignore:backward_nll is unbounded")
@pytest.mark.parametrize("loss", SLOW)
def test_missing_labels_give_no_gradient_and_none_at_all_a_zero(loss):
    scores, labels = logits().requires_grad_(), torch.tensor([[0, -1], [-1, -1], [2, 1], [-1, 0]])
    loss(scores, labels, channels()).backward()
    assert scores.grad[1].abs().max() == 0
    assert scores.grad[0].abs().max() > 0
    assert loss(scores, torch.full((B, 2), -1), channels()) == 0
    assert loss(scores, labels, channels(), reduction="none").shape == labels.shape
    each = loss(scores, labels, channels(), reduction="none")
    weights = torch.arange(8.0).reshape(B, 2) * (labels >= 0)
    assert torch.isclose(loss(scores, labels, channels(), weights=weights), (weights * each).sum() / weights.sum())


def test_backward_is_unbiased_and_forward_has_its_minimum_at_the_truth():
    channel, truth = channels(), torch.tensor([0.7, 0.1, 0.2], dtype=torch.float64)
    observed = truth @ channel
    row = logits()[:1]
    with pytest.warns(UserWarning, match="unbounded below and of high variance; prefer forward_nll"):
        costs = torch.stack([backward_nll(row, torch.tensor([y]), channel) for y in range(K)])
    clean = torch.stack([cross_entropy(row, torch.tensor([y])) for y in range(K)])
    assert torch.isclose(observed @ costs, truth @ clean, rtol=1e-12)

    def expected(scores):
        return sum(share * forward_nll(scores[None], torch.tensor([y]), channel) for y, share in enumerate(observed))

    scores = truth.log().requires_grad_()
    expected(scores).backward()
    assert scores.grad.abs().max() < 1e-7  # the 1e-8 under the logarithm
    naive = truth.log().requires_grad_()
    sum(share * cross_entropy(naive[None], torch.tensor([y])) for y, share in enumerate(observed)).backward()
    assert naive.grad.abs().max() > 0.05


def test_forward_gradients_reach_the_channel_and_are_right():
    scores, labels = logits().requires_grad_(), torch.tensor([0, 2, -1, 1])

    def loss(s, raw):
        return forward_nll(s, labels, raw.softmax(-1))

    assert torch.autograd.gradcheck(loss, (scores, logits(1)[:K].requires_grad_()))


def test_the_weight_of_a_reweighted_row_is_capped_and_gets_no_gradient():
    scores = torch.tensor([[3.0, 0.0]], dtype=torch.float64, requires_grad=True)
    channel = torch.tensor([[0.01, 0.99], [0.01, 0.99]], dtype=torch.float64)
    loss = reweight_nll(scores, torch.tensor([0]), channel)
    plain = cross_entropy(scores, torch.tensor([0]))
    assert torch.isclose(loss, 10 * plain, rtol=1e-12)  # uncapped, the factor would be 95
    (gradient,) = torch.autograd.grad(loss, scores, retain_graph=True)
    assert torch.allclose(gradient, 10 * torch.autograd.grad(plain, scores)[0])


def test_likelihoods_are_a_forward_correction_with_the_column_of_the_answer():
    labels, channel = torch.tensor([0, 2, 1, 1]), channels()
    likelihood = channel.T[labels].log()
    assert math.isclose(likelihood_nll(logits(), likelihood), forward_nll(logits(), labels, channel), abs_tol=1e-6)
    shifted = likelihood_nll(logits(), likelihood + 5)
    assert torch.isclose(shifted + 5, likelihood_nll(logits(), likelihood), rtol=1e-12)
    ruled_out = torch.tensor([[0.0, -torch.inf, -torch.inf]], dtype=torch.float64).expand(B, K)
    assert torch.isclose(likelihood_nll(logits(), ruled_out), cross_entropy(logits(), torch.zeros(B).long()))
    weighted = likelihood_nll(logits(), likelihood, weights=torch.tensor([1.0, 0.0, 0.0, 0.0]))
    assert torch.isclose(weighted, likelihood_nll(logits()[:1], likelihood[:1]))
    with pytest.raises(ValueError, match="give one likelihood per class"):
        likelihood_nll(logits(), likelihood[:, :2])


def slow_posterior(p, labels, channel, prior, power, prior_power):
    found = []
    for i, row in enumerate(labels.tolist()):
        mass = []
        for k in range(K):
            value = float(p[i, k]) ** power / float(prior[k]) ** prior_power
            for r, y in enumerate(row):
                value *= float(one_of_each(channel, i, r)[k, y]) if y >= 0 else 1.0
            mass.append(value)
        found.append([value / sum(mass) for value in mass])
    return torch.tensor(found, dtype=torch.float64)


@pytest.mark.parametrize("shape", [(), (B,), (B, R)])
@settings(max_examples=10)
@given(
    labels=st.lists(st.lists(st.integers(-1, K - 1), min_size=R, max_size=R), min_size=B, max_size=B),
    power=st.sampled_from([0.0, 0.5, 1.0]),
    prior_power=st.sampled_from([0.0, 1.0]),
)
def test_the_posterior_is_bayes_by_products(shape, labels, power, prior_power):
    p, labels, prior = logits().softmax(1), torch.tensor(labels), torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    found = posterior(p, labels, channels(*shape), prior=prior, power=power, prior_power=prior_power)
    slow = slow_posterior(p, labels, channels(*shape), prior, power, prior_power)
    assert torch.allclose(found, slow, rtol=1e-12)


def test_labels_as_pairs_of_item_and_annotator_are_the_same_as_a_table():
    table = torch.tensor([[0, -1, 2], [-1, -1, 1], [1, 1, -1], [-1, 0, -1]])
    per_annotator = channels(R)
    item, annotator = (table >= 0).nonzero(as_tuple=True)
    pairs = forward_nll(logits()[item], table[item, annotator], per_annotator[annotator])
    assert torch.isclose(pairs, forward_nll(logits(), table, per_annotator.expand(B, R, K, K)), rtol=1e-12)


def test_without_a_prior_none_is_taken_out_and_an_equal_one_changes_nothing():
    p, labels = logits().softmax(1), torch.tensor([0, 2, -1, 1])
    bayes = posterior(p, labels, channels())
    assert torch.allclose(bayes[2], p[2], rtol=1e-12), "no label, nothing learned"
    assert torch.allclose(posterior(p, labels, channels(), prior=torch.full((K,), 1 / K)), bayes, rtol=1e-12)
    assert torch.allclose(posterior(p, labels, channels(), prior=p[2])[2], torch.full((K,), 1 / K).double(), rtol=1e-12)


def test_a_thousand_annotators_do_not_underflow():
    channel = channels().expand(1, 1000, K, K)
    found = posterior(torch.full((1, K), 1 / K), torch.ones(1, 1000, dtype=torch.int64), channel)
    assert found.tolist() == [[0.0, 1.0, 0.0]]
    assert found.dtype == torch.float32


def test_a_row_that_no_class_explains_is_refused_by_position():
    channel = torch.eye(K).expand(2, 2, K, K)
    with pytest.raises(ValueError, match=r"rows \[1\] have labels that no class can have"):
        posterior(torch.full((2, K), 1 / K), torch.tensor([[0, 0], [0, 1]]), channel)
    with pytest.raises(ValueError, match="prior must hold 3 shares > 0"):
        posterior(
            torch.full((2, K), 1 / K), torch.tensor([[0, 0], [0, 0]]), channel, prior=torch.tensor([1.0, 0.0, 0.0])
        )


def test_a_singular_channel_has_no_backward_correction_but_a_forward_one():
    flat = torch.full((K, K), 1 / K)
    nearly = torch.tensor([[0.6, 0.4, 0.0], [0.2, 0.4, 0.4], [0.4, 0.4, 0.2]])  # row 3 is the mean of the others
    for channel in (flat, nearly, torch.stack([torch.eye(K)] * (B - 1) + [flat])):
        with pytest.warns(UserWarning, match="prefer"), pytest.raises(ValueError, match="singular matrix"):
            backward_nll(logits().float(), torch.zeros(B).long(), channel)
        assert torch.isfinite(forward_nll(logits().float(), torch.zeros(B).long(), channel))


@pytest.mark.filterwarnings("ignore:backward_nll is unbounded")
@pytest.mark.parametrize("loss", [*SLOW, posterior])
@pytest.mark.parametrize(
    ("labels", "channel", "error", "message"),
    [
        (torch.zeros(B), channels(), TypeError, "labels are of torch.float32"),
        (torch.zeros(B + 1).long(), channels(), ValueError, r"labels has shape \(5,\) for 4 rows"),
        (torch.full((B,), K), channels(), ValueError, r"classes outside of \[0, 3\) other than -1"),
        (torch.full((B,), -2), channels(), ValueError, "other than -1"),
        (torch.zeros(B).long(), channels(2), ValueError, r"channel has shape \(2, 3, 3\); for logits \(4, 3\)"),
        (
            torch.zeros(B).long(),
            channels(B, R),
            ValueError,
            r"must be one of \[\(3, 3\), \(4, 3, 3\), \(4, 1, 3, 3\)\]",
        ),
        (torch.zeros(B).long(), channels().T, ValueError, "rows are true classes, columns observed ones"),
        (torch.zeros(B).long(), 2 * torch.eye(K) - 1 / K, ValueError, "negative or do not sum to 1"),
    ],
)
def test_labels_and_channels_that_do_not_fit_are_refused(loss, labels, channel, error, message):
    with pytest.raises(error, match=message):
        loss(logits().softmax(1), labels, channel)
