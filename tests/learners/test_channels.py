import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from privkd.learners.channels import (
    as_channel,
    cifar10_channel,
    inverse_response_channel,
    multilabel_channel,
    pair_channel,
    response_channel,
    selective_response_channel,
    symmetric_channel,
)
from privkd.mechanisms import CandidateSets, KaryResponse, SelectiveResponse

RATES = st.floats(0.0, 1.0)
CLASSES = st.integers(2, 12)


@given(classes=CLASSES, rate=RATES, include_true=st.booleans())
def test_a_symmetric_channel_is_wrong_at_its_rate_and_treats_all_wrong_classes_alike(classes, rate, include_true):
    channel = as_channel(symmetric_channel(classes, rate, include_true=include_true))
    wrong = rate * (classes - 1) / classes if include_true else rate
    np.testing.assert_allclose(np.diagonal(channel), 1.0 - wrong, atol=1e-15)
    np.testing.assert_allclose(channel[~np.eye(classes, dtype=bool)], wrong / (classes - 1), atol=1e-15)


@given(classes=CLASSES, rate=RATES)
def test_a_pair_channel_leads_from_each_class_to_the_next(classes, rate):
    channel = as_channel(pair_channel(classes, rate))
    for true in range(classes):
        expected = np.zeros(classes)
        expected[true] += 1 - rate
        expected[(true + 1) % classes] += rate
        np.testing.assert_allclose(channel[true], expected, atol=1e-15)


def test_the_asymmetric_channel_of_cifar10_confuses_the_named_things_in_their_direction():
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    channel = as_channel(cifar10_channel(0.4))
    confused = {(names[t], names[g]) for t, g in np.argwhere((channel > 0) & ~np.eye(10, dtype=bool))}
    assert confused == {
        ("truck", "automobile"), ("bird", "airplane"), ("cat", "dog"), ("dog", "cat"), ("deer", "horse")
    }  # fmt: skip
    assert channel[9, 1] == 0.4


@given(classes=CLASSES, eps0=st.floats(1e-3, 50.0))
def test_the_inverse_of_a_response_channel_is_exact_and_the_channel_is_what_the_mechanism_does(classes, eps0):
    channel, inverse = response_channel(classes, eps0), inverse_response_channel(classes, eps0)
    tolerance = max(
        1e-10, 1e-15 * np.linalg.cond(channel)
    )  # 1e-10 is asked for; below eps0 = 1e-2 rounding alone is more
    np.testing.assert_allclose(channel @ inverse, np.eye(classes), atol=tolerance)
    released = torch.arange(classes)  # the mechanism's own likelihood has a row per given label
    theirs = KaryResponse(eps0, classes).log_likelihood(released).exp().numpy().T
    np.testing.assert_allclose(channel, theirs, atol=1e-14)


@pytest.mark.parametrize("eps0", [1.0, 2.0, 3.0])
def test_the_product_with_the_inverse_is_the_identity_to_1e_10(eps0):
    product = response_channel(10, eps0) @ inverse_response_channel(10, eps0)
    np.testing.assert_allclose(product, np.eye(10), atol=1e-10)
    assert abs(response_channel(10, eps0) @ inverse_response_channel(10, eps0 + 0.1) - np.eye(10)).max() > 1e-3


@pytest.mark.parametrize("size", [1, 2, 4, 5])
def test_a_selective_channel_is_what_the_mechanism_does_in_each_set(size):
    sets = torch.stack([torch.randperm(5, generator=torch.Generator().manual_seed(row))[:size] for row in range(6)])
    channel = as_channel(selective_response_channel(sets, 5, 0.7))
    for row in range(6):
        for given_label in sets[row].tolist():
            support = CandidateSets(sets[row : row + 1], 5)
            theirs = SelectiveResponse(0.7).log_likelihood(torch.tensor([given_label]), support).exp()[0]
            np.testing.assert_allclose(channel[row, :, given_label], theirs, atol=1e-14)
        outside = sorted(set(range(5)) - set(sets[row].tolist()))
        assert (channel[row][:, outside] == 0).all(), "no label outside of the set is ever given"


def test_a_selective_channel_over_all_classes_is_the_plain_one():
    np.testing.assert_allclose(selective_response_channel([[2, 0, 1]], 3, 1.5)[0], response_channel(3, 1.5), atol=1e-15)


def test_the_multilabel_channel_of_each_label_has_its_two_rates():
    channel = as_channel(multilabel_channel(3, 0.1, 0.25))
    assert channel.shape == (3, 2, 2)
    assert (channel[:, 0, 1] == 0.1).all()
    assert (channel[:, 1, 0] == 0.25).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: symmetric_channel(1, 0.1), "classes=1"),
        (lambda: symmetric_channel(3, 1.2), "rate=1.2"),
        (lambda: symmetric_channel(3, float("nan")), "rate=nan"),
        (lambda: pair_channel(3, -0.1), "rate=-0.1"),
        (lambda: cifar10_channel(2), "rate=2"),
        (lambda: response_channel(10, 0.0), "eps0=0.0"),
        (lambda: inverse_response_channel(1, 1.0), "classes=1"),
        (lambda: selective_response_channel([[0, 0]], 3, 1.0), r"candidates\[0\] repeats"),
        (lambda: selective_response_channel([[0, 1], [2, 3]], 3, 1.0), r"candidates\[1\]"),
        (lambda: selective_response_channel([[0.5]], 3, 1.0), "whole numbers of shape"),
        (lambda: selective_response_channel([[0, 1]], 3, -1.0), "eps0=-1.0"),
        (lambda: multilabel_channel(0, 0.1, 0.1), "labels=0"),
        (lambda: multilabel_channel(2, 0.1, 1.1), "rho_plus=1.1"),
        (lambda: as_channel([[0.5, 0.5], [0.7, 0.4]]), r"channel\[1\] sums to 1.1"),
        (lambda: as_channel([[0.5, 0.5], [1.2, -0.2]]), r"channel\[1, 1\]=-0.2"),
        (lambda: as_channel([[0.5, 0.5], [np.nan, 1.0]]), r"channel\[1, 0\]=nan"),
        (lambda: as_channel(np.ones((2, 3)) / 3), r"must end in \(K, K\)"),
        (lambda: as_channel([[1.0]]), "K >= 2"),
    ],
)  # fmt: skip
def test_what_is_no_channel_is_refused_with_its_place(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_transposed_channel_is_refused_with_the_cure():
    with pytest.raises(ValueError, match="must be transposed"):
        as_channel(np.array([[0.9, 0.1], [0.5, 0.5]]).T)
