"""Overlaps against counts of cells; losses on boxes and on score maps against loops."""

import math
from inspect import unwrap

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from privkd.losses import box_l1, ciou, focal, giou, heatmap_focal, iou, overlap_loss

whole = st.tuples(st.integers(-5, 5), st.integers(-5, 5), st.integers(0, 6), st.integers(0, 6))


def box(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def cells(x, y, w, h):
    """The unit cells that a box of whole numbers covers."""
    return {(i, j) for i in range(x, x + w) for j in range(y, y + h)}


def hull(a, b):
    left, top = min(a[0], b[0]), min(a[1], b[1])
    return max(a[0] + a[2], b[0] + b[2]) - left, max(a[1] + a[3], b[1] + b[3]) - top


@given(a=whole, b=whole)
def test_overlaps_of_whole_boxes_are_counts_of_cells(a, b):
    common, union = len(cells(*a) & cells(*b)), len(cells(*a) | cells(*b))
    width, height = hull(a, b)
    slow = common / union if union else 0.0
    assert math.isclose(iou(box(*a), box(*b)), slow, rel_tol=1e-14)
    generalised = slow - (width * height - union) / (width * height) if width * height else slow
    assert math.isclose(giou(box(*a), box(*b)), generalised, rel_tol=1e-14, abs_tol=1e-15)


@given(a=whole, b=whole)
def test_complete_overlap_agrees_with_its_formula_and_is_finite_for_empty_boxes(a, b):
    common, union = len(cells(*a) & cells(*b)), len(cells(*a) | cells(*b))
    overlap = common / union if union else 0.0
    width, height = hull(a, b)
    rho = math.dist((a[0] + a[2] / 2, a[1] + a[3] / 2), (b[0] + b[2] / 2, b[1] + b[3] / 2)) ** 2
    v = 4 / math.pi**2 * (math.atan(b[2] / b[3]) - math.atan(a[2] / a[3])) ** 2 if a[3] and b[3] else 0.0
    alpha = v / (1 - overlap + v) if v else 0.0
    diagonal = width**2 + height**2
    slow = overlap - (rho / diagonal if diagonal else 0.0) - alpha * v
    assert math.isclose(ciou(box(*a), box(*b)), slow, rel_tol=1e-12, abs_tol=1e-14)


def drawn(n=50, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, 4, dtype=torch.float64, generator=generator) + torch.tensor([0.0, 0.0, 0.1, 0.1])


def test_shapes_are_broadcast_to_all_pairs():
    a, b = drawn(3), drawn(4, seed=1)
    for overlap in (iou, giou, ciou):
        every = overlap(a[:, None], b)
        assert every.shape == (3, 4)
        assert all(torch.equal(every[i, j], overlap(a[i], b[j])) for i in range(3) for j in range(4))


@pytest.mark.parametrize("overlap", [iou, giou, ciou])
@settings(max_examples=15)
@given(scale=st.floats(0.5, 1000), seed=st.integers(0, 20))
def test_overlaps_are_symmetric_bounded_one_for_equals_and_free_of_units(overlap, scale, seed):
    a, b = drawn(5, seed), drawn(5, seed + 1)
    assert torch.allclose(overlap(a, b), overlap(b, a), rtol=1e-12)
    assert torch.allclose(overlap(scale * a, scale * b), overlap(a, b), rtol=1e-9, atol=1e-9)
    assert torch.allclose(overlap(a, a), torch.ones(5, dtype=torch.float64), rtol=1e-12)
    assert overlap(a, b).max() <= 1
    assert overlap(a, b).min() >= {iou: 0, giou: -1, ciou: -2}[overlap]


def test_boxes_that_are_apart_learn_from_giou_and_ciou_but_not_from_iou():
    target = box(5, 5, 1, 1)[None]
    for kind, learns in (("iou", False), ("giou", True), ("ciou", True)):
        predicted = box(0, 0, 1, 1)[None].requires_grad_()
        overlap_loss(predicted, target, kind=kind).backward()
        assert bool(predicted.grad.abs().max() > 0) == learns
        if learns:
            assert (predicted.grad[0, :2] < 0).all()  # a step down the slope moves towards the target


@pytest.mark.parametrize("kind", ["iou", "giou"])
def test_gradients_of_overlaps_are_right(kind):
    a, b = drawn(2).requires_grad_(), drawn(2, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, y: overlap_loss(x, y, kind=kind), (a, b))


@pytest.mark.parametrize("kind", ["iou", "giou", "ciou"])
def test_empty_boxes_give_finite_losses_and_gradients(kind):
    predicted = torch.tensor([[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 0.0, 2.0], [1.0, 1.0, 2.0, 0.0]], requires_grad=True)
    loss = overlap_loss(predicted, torch.zeros(3, 4), kind=kind)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(predicted.grad).all()


def test_losses_of_boxes_average_over_the_rows_that_count():
    a, b, seen = drawn(4), drawn(4, seed=1), torch.tensor([True, False, True, True])
    kept = [i for i in range(4) if seen[i]]
    slow = sum(1 - float(giou(a[i], b[i])) for i in kept) / 3
    assert math.isclose(overlap_loss(a, b, weights=seen), slow, rel_tol=1e-12)
    slow = sum(abs(float(u - v)) for i in kept for u, v in zip(a[i], b[i], strict=True)) / 12
    assert math.isclose(box_l1(a, b, weights=seen), slow, rel_tol=1e-12)
    assert box_l1(a, b, weights=torch.zeros(4)) == 0


def test_what_is_no_box_is_refused():
    for wrong in (torch.zeros(3), torch.zeros(2, 3), torch.tensor(1.0)):
        with pytest.raises(ValueError, match="x, y, width, height are needed along the last dimension"):
            iou(wrong, wrong)
    with pytest.raises(TypeError, match="floating"):
        giou(torch.zeros(4).long(), torch.zeros(4))
    for loss in (overlap_loss, box_l1):
        with pytest.raises(ValueError, match="one true box per predicted box"):
            loss(torch.zeros(2, 4), torch.zeros(3, 4))
        with pytest.raises(ValueError, match=r"\(rows, 4\) is needed"):
            loss(torch.zeros(4), torch.zeros(4))
    with pytest.raises(ValueError, match="kind='diou' must be one of iou, giou, ciou"):
        unwrap(overlap_loss)(torch.zeros(1, 4), torch.zeros(1, 4), kind="diou")


def logits_and_ones(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(3, 4, dtype=torch.float64, generator=generator), torch.randint(
        0, 2, (3, 4), generator=generator
    ).double()


@settings(max_examples=20)
@given(alpha=st.floats(0, 1), gamma=st.floats(0, 5), seed=st.integers(0, 20))
def test_focal_loss_agrees_with_its_formula(alpha, gamma, seed):
    logits, ones = logits_and_ones(seed)
    slow = 0.0
    for z, y in zip(logits.flatten().tolist(), ones.flatten().tolist(), strict=True):
        p = 1 / (1 + math.exp(-z))
        right, share = (p, alpha) if y else (1 - p, 1 - alpha)
        slow -= share * (1 - right) ** gamma * math.log(right) / 12
    assert math.isclose(focal(logits, ones, alpha=alpha, gamma=gamma), slow, rel_tol=1e-11)


def test_focal_loss_is_binary_cross_entropy_at_gamma_zero_and_finite_for_sure_logits():
    logits, ones = logits_and_ones()
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, ones)
    assert torch.isclose(2 * focal(logits, ones, alpha=0.5, gamma=0.0), entropy)
    sure = torch.tensor([200.0, -200.0], requires_grad=True)
    loss = focal(sure, torch.tensor([0.0, 1.0]))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(sure.grad).all()
    assert torch.isclose(focal(logits, ones, weights=ones), focal(logits[ones == 1], ones[ones == 1]))


def test_heat_maps_cost_their_peaks_and_forgive_the_slope():
    logits, _ = logits_and_ones()
    heat = torch.rand(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    heat[0, 1] = heat[2, 2] = 1.0
    slow = 0.0
    for z, y in zip(logits.flatten().tolist(), heat.flatten().tolist(), strict=True):
        p = 1 / (1 + math.exp(-z))
        slow -= (1 - p) ** 2 * math.log(p) if y == 1 else (1 - y) ** 4 * p**2 * math.log(1 - p)
    assert math.isclose(heatmap_focal(logits, heat), slow / 2, rel_tol=1e-12)
    assert heatmap_focal(logits, heat, beta=0.0) > heatmap_focal(logits, heat)
    assert torch.isfinite(heatmap_focal(logits, torch.zeros(3, 4, dtype=torch.float64))), "a map without a peak"


def test_maps_that_do_not_fit_are_refused():
    for loss in (focal, heatmap_focal):
        with pytest.raises(ValueError, match="give one target per logit"):
            loss(torch.zeros(2), torch.zeros(3))
        with pytest.raises(TypeError, match=r"is of torch\.int64"):
            loss(torch.zeros(2), torch.zeros(2).long())
    with pytest.raises(ValueError, match="alpha=2"):
        focal(torch.zeros(2), torch.zeros(2), alpha=2.0)
    with pytest.raises(ValueError, match="gamma=-1"):
        focal(torch.zeros(2), torch.zeros(2), gamma=-1.0)
    with pytest.raises(ValueError, match="beta=-1"):
        heatmap_focal(torch.zeros(2), torch.zeros(2), beta=-1.0)
