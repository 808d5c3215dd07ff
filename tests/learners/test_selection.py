"""Selection, neighbours and mixing against slow obvious twins."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from privkd.learners.mixing import mixup
from privkd.learners.neighbours import clusters, nearest, neighbour_graph
from privkd.learners.selection import confident, gmm_small_loss, knn_agreement, small_loss, trusted


def made(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def slow_nearest(points, count, *, exclude_self=True):
    found = []
    for i, one in enumerate(points):
        cosines = [
            (float(one @ other / (one.norm() * other.norm())), j)
            for j, other in enumerate(points)
            if not (exclude_self and i == j)
        ]
        found.append([j for _, j in sorted(cosines, reverse=True)[:count]])
    return found


@given(seed=st.integers(0, 1000), count=st.integers(1, 5), chunk=st.integers(1, 20))
def test_neighbours_are_those_of_the_loop_whatever_the_chunk(seed, count, chunk):
    points = made(15, 3, seed=seed)
    similarity, rows = nearest(points, count, chunk=chunk)
    assert rows.tolist() == slow_nearest(points, count)
    assert (similarity.diff(dim=1) <= 0).all()
    assert nearest(points, count, exclude_self=False, chunk=chunk)[1].tolist() == slow_nearest(
        points, count, exclude_self=False
    )


def test_length_does_not_matter_and_other_candidates_may_be_given():
    points = made(10, 4)
    assert (nearest(points * torch.arange(1, 11)[:, None], 3)[1] == nearest(points, 3)[1]).all()
    similarity, rows = nearest(points[:2], 1, among=points)
    assert rows.flatten().tolist() == [0, 1], "a point among the candidates is its own neighbour"
    torch.testing.assert_close(similarity, torch.ones(2, 1))


def test_a_graph_joins_points_of_which_one_is_near_the_other():
    points = made(12, 3)
    near = slow_nearest(points, 2)
    expected = [[j in near[i] or i in near[j] for j in range(12)] for i in range(12)]
    assert neighbour_graph(points, 2).tolist() == expected


def test_clusters_are_the_three_heaps():
    heaps = torch.arange(30) % 3
    points = made(30, 2) * 0.1 + torch.tensor([[0.0, 5.0], [5.0, 0.0], [9.0, 9.0]])[heaps]
    found = clusters(points, 3, seed=0)
    assert len({(int(a), int(b)) for a, b in zip(found, heaps, strict=True)}) == 3
    assert (found == clusters(points, 3, seed=0)).all()


def slow_agreement(points, labels, classes, neighbours, quantile):
    """Steps a to d of the specification, a row at a time."""
    near = slow_nearest(points, neighbours)
    corrected = [int(np.bincount(labels[near[i]], minlength=classes).argmax()) for i in range(len(points))]
    histograms = [
        np.bincount([corrected[j] for j in near[i]], minlength=classes) / neighbours for i in range(len(points))
    ]
    loss = [-math.log(min(max(h[label], 0.01), 0.99)) for h, label in zip(histograms, labels, strict=True)]
    agree = [
        sum(h.argmax() == label for h, label in zip(histograms, labels, strict=True) if label == c)
        for c in range(classes)
    ]
    quota = int(np.quantile(agree, quantile))
    kept = [
        i
        for c in range(classes)
        for i in sorted((i for i in range(len(points)) if labels[i] == c), key=lambda i: loss[i])[:quota]
    ]
    return [i in kept for i in range(len(points))], [-value for value in loss]


@pytest.mark.parametrize("quantile", [0.0, 0.25, 0.5, 1.0])
def test_agreement_of_neighbours_is_that_of_the_steps_one_by_one(quantile):
    labels = torch.randint(3, (40,), generator=torch.Generator().manual_seed(1))
    points = made(40, 4) + 2 * torch.nn.functional.one_hot(labels, 4)
    mask, score = slow_agreement(points, labels.numpy(), 3, 7, quantile)
    found = knn_agreement(points, labels, 3, neighbours=7, quantile=quantile)
    assert found.mask.tolist() == mask
    assert found.score.tolist() == pytest.approx(score)


def test_agreement_finds_wrong_labels_and_a_random_choice_does_not():
    truth = torch.arange(600) % 3
    points = made(600, 5) + 6 * torch.nn.functional.one_hot(truth, 5)
    wrong = torch.rand(600, generator=torch.Generator().manual_seed(2)) < 0.4
    labels = torch.where(wrong, (truth + 1) % 3, truth)
    found = knn_agreement(points, labels, 3, neighbours=30)
    assert (~wrong[found.mask]).double().mean() > 0.97
    assert (~wrong[torch.randperm(600)[: int(found.mask.sum())]]).double().mean() < 0.75
    sizes = torch.bincount(labels[found.mask], minlength=3)
    assert sizes.max() <= 1.2 * sizes.min(), "classes have one quota"
    given_quota = knn_agreement(points, labels, 3, neighbours=30, quota=50)
    assert torch.bincount(labels[given_quota.mask]).tolist() == [50, 50, 50]


def test_small_losses_are_taken_of_each_class_and_a_small_class_whole():
    losses = torch.tensor([0.3, 0.1, 0.2, 9.0, 8.0, 7.0])
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    found = small_loss(losses, labels, 3, quota=2)
    assert found.mask.tolist() == [False, True, True, True, True, True]
    assert found.score.tolist() == (-losses).tolist()
    assert not small_loss(losses, labels, 3, quota=0).mask.any()


def test_the_mixture_separates_two_heaps_of_losses_and_takes_equal_ones_whole():
    clean = torch.arange(200) % 4 > 0
    losses = torch.where(clean, 0.2, 3.0) + 0.05 * made(200)
    found = gmm_small_loss(losses)
    assert (found.mask == clean).all()
    assert (found.score[clean] > 0.99).all()
    assert gmm_small_loss(torch.ones(5)).mask.all()
    shifted = gmm_small_loss(100 * losses + 7)
    assert (shifted.mask == found.mask).all()


def test_confidence_must_exceed_a_half_by_the_threshold():
    probabilities = torch.tensor([[0.55, 0.45], [0.56, 0.44], [0.1, 0.9]])
    assert confident(probabilities, threshold=0.1).mask.tolist() == [False, True, True]
    assert confident(probabilities, threshold=0.0).mask.all()


def test_trusted_rows_are_marked():
    found = trusted(torch.tensor([3, 0]), 4)
    assert found.mask.tolist() == [True, False, False, True]
    assert found.score.tolist() == [1, 0, 0, 1]
    assert trusted(torch.tensor([0, 1]), 3, labels=torch.tensor([0, 1, 1]), classes=2).mask.sum() == 2


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_blends_are_what_they_say_and_weights_are_of_the_beta_distribution(alpha):
    inputs, generator = made(5, 2, 3), torch.Generator().manual_seed(0)
    weights, plain = [], []
    for _ in range(200):
        mixed = mixup(inputs, alpha, generator=generator)
        weights.append(mixed.weight)
        plain.append(mixup(inputs, alpha, generator=generator, dominant=False).weight)
        for row in range(5):
            expected = mixed.weight * inputs[row] + (1 - mixed.weight) * inputs[mixed.partner[row]]
            torch.testing.assert_close(mixed.inputs[row], expected)
    assert min(weights) >= 0.5
    variance = 1 / (4 * (2 * alpha + 1))  # of Beta(alpha, alpha)
    assert abs(np.mean(plain) - 0.5) < 4.5 * math.sqrt(variance / 200)
    assert abs(np.var(plain) - variance) < 4.5 * 0.25 * math.sqrt(1 / 200)


def test_mixing_repeats_with_its_generator():
    one, other = (mixup(made(4, 2), 1.0, generator=torch.Generator().manual_seed(5)) for _ in range(2))
    assert one.weight == other.weight
    assert (one.inputs == other.inputs).all()


LABELS = torch.tensor([0, 1, 1])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: nearest(made(3, 2), 3), "count=3 neighbours of 2 candidates"),
        (lambda: nearest(made(3, 2), 0), "count=0"),
        (lambda: nearest(torch.tensor([[1.0], [float("nan")]]), 1), r"points\[1\] is not finite"),
        (lambda: clusters(made(3, 2), 4, seed=0), "count=4 clusters of 3 points"),
        (lambda: clusters(made(3, 2), 2, seed=-1), "seed=-1"),
        (lambda: knn_agreement(made(3, 2), LABELS, 2, neighbours=3), "count=3 neighbours"),
        (lambda: knn_agreement(made(3, 2), LABELS, 2, neighbours=1, quantile=1.5), "quantile=1.5"),
        (lambda: knn_agreement(made(4, 2), LABELS, 2, neighbours=1), "3 labels for 4 rows"),
        (lambda: knn_agreement(made(3, 2), torch.tensor([0, 2, 1]), 2, neighbours=1), r"labels\[1\] lies outside 0..1"),
        (lambda: small_loss(torch.ones(3), LABELS, 2, quota=-1), "quota=-1"),
        (lambda: small_loss(torch.tensor([0.0, float("inf"), 1.0]), LABELS, 2, quota=1), r"losses\[1\] is not finite"),
        (lambda: small_loss(torch.ones(3), LABELS, 1, quota=1), "classes=1"),
        (lambda: gmm_small_loss(torch.ones(1)), "at least two rows"),
        (lambda: gmm_small_loss(torch.ones(3), threshold=1.0), "threshold=1"),
        (lambda: confident(torch.ones(1, 2) / 2, threshold=-0.1), "threshold=-0.1"),
        (lambda: confident(torch.tensor([[0.5, float("nan")]])), r"probabilities\[0\] is not finite"),
        (lambda: trusted(torch.tensor([4]), 4), "rows leave 0..3"),
        (lambda: trusted(torch.tensor([1, 1]), 4), "only 1 different"),
        (lambda: trusted(torch.tensor([1, 2]), 3, labels=LABELS, classes=2), "class 0 has no trusted row"),
        (lambda: mixup(made(2, 2), 0.0, generator=torch.Generator()), "alpha=0"),
        (lambda: mixup(made(0, 2), 1.0, generator=torch.Generator()), "no rows to mix"),
    ],
)  # fmt: skip
def test_what_cannot_be_selected_from_is_refused_by_name(call, words):
    with pytest.raises(ValueError, match=words):
        call()
