"""Cross-entropies against sums of logarithms, and bit by bit against torch where every row is labelled."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from privkd.losses import cosine_cross_entropy, cross_entropy, mixup_loss


def drawn(n=6, k=4, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, k, dtype=dtype, generator=generator), torch.randint(0, k, (n,), generator=generator)


def slow_entropy(logits, labels, weights, ignore=-1):
    """Weighted mean over labelled rows, one row after the other."""
    total = mass = 0.0
    for row, label, weight in zip(logits.tolist(), labels.tolist(), weights, strict=True):
        if label != ignore:
            total += weight * (math.log(sum(map(math.exp, row))) - row[label])
            mass += weight
    return total / mass if mass else 0.0


@settings(max_examples=25)
@given(
    labels=st.lists(st.integers(-1, 3), min_size=6, max_size=6),
    weights=st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=6, max_size=6),
)
def test_the_mean_is_over_labelled_rows_by_their_weights(labels, weights):
    logits, labels = drawn()[0], torch.tensor(labels)
    weighted = cross_entropy(logits, labels, weights=torch.tensor(weights, dtype=torch.float64))
    assert math.isclose(weighted, slow_entropy(logits, labels, weights), rel_tol=1e-13, abs_tol=1e-13)
    plain = cross_entropy(logits, labels)
    assert math.isclose(plain, slow_entropy(logits, labels, [1.0] * 6), rel_tol=1e-13, abs_tol=1e-13)


@pytest.mark.parametrize("n", [1, 7, 64, 1000])
@pytest.mark.parametrize("soft", [False, True])
def test_with_every_row_labelled_loss_and_gradients_are_those_of_torch_bit_by_bit(n, soft):
    logits, labels = drawn(n, 10, dtype=torch.float32)
    labels = drawn(n, 10, seed=1, dtype=torch.float32)[0].softmax(1) if soft else labels
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss, other = cross_entropy(ours, labels), functional.cross_entropy(theirs, labels)
    loss.backward()
    other.backward()
    assert torch.equal(loss, other)
    assert torch.equal(ours.grad, theirs.grad)


def test_rows_without_a_label_change_nothing_and_get_no_gradient():
    logits, labels = drawn()
    labels[2:4] = -1
    logits.requires_grad_()
    loss = cross_entropy(logits, labels)
    loss.backward()
    kept = labels >= 0
    assert torch.isclose(loss, cross_entropy(logits[kept], labels[kept]), rtol=1e-14)
    assert logits.grad[~kept].abs().max() == 0
    assert cross_entropy(logits, labels, reduction="none")[~kept].tolist() == [0.0, 0.0]
    assert torch.equal(cross_entropy(logits, torch.where(kept, labels, 9), ignore=9), loss)


def test_a_batch_without_any_label_is_zero_with_zero_gradients_where_torch_has_nan():
    logits = drawn()[0].requires_grad_()
    none = torch.full((6,), -1)
    loss = cross_entropy(logits, none)
    loss.backward()
    assert loss == 0
    assert logits.grad.abs().max() == 0
    assert torch.isnan(functional.cross_entropy(logits, none, ignore_index=-1))
    assert cross_entropy(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)) == 0


def test_reductions_agree_with_each_other():
    logits, labels = drawn()
    labels[0] = -1
    each = cross_entropy(logits, labels, reduction="none")
    assert torch.isclose(each.sum(), cross_entropy(logits, labels, reduction="sum"), rtol=1e-14)
    assert torch.isclose(each.sum() / 5, cross_entropy(logits, labels), rtol=1e-14)
    weights = torch.arange(6.0, dtype=torch.float64)
    assert torch.isclose((weights * each).sum(), cross_entropy(logits, labels, weights=weights, reduction="sum"))


def test_soft_labels_of_one_class_are_hard_ones():
    logits, labels = drawn()
    soft = functional.one_hot(labels, 4).double()
    weights = torch.arange(6.0)
    assert torch.isclose(cross_entropy(logits, soft), cross_entropy(logits, labels), rtol=1e-14)
    assert torch.isclose(cross_entropy(logits, soft, weights=weights), cross_entropy(logits, labels, weights=weights))


def test_cosines_ignore_lengths_and_scale_them():
    embeddings, labels = drawn(6, 4)
    prototypes = drawn(5, 4, seed=1)[0]
    slow = torch.tensor(
        [[16 * float(e @ w) / float(e.norm() * w.norm()) for w in prototypes] for e in embeddings], dtype=torch.float64
    )
    loss = cosine_cross_entropy(embeddings, prototypes, labels)
    assert math.isclose(loss, slow_entropy(slow, labels, [1.0] * 6), rel_tol=1e-13)
    assert torch.isclose(loss, cosine_cross_entropy(3 * embeddings, prototypes * torch.arange(1, 6)[:, None], labels))
    skipped = torch.where(labels == labels[0], -1, labels)
    assert math.isclose(
        cosine_cross_entropy(embeddings, prototypes, skipped), slow_entropy(slow, skipped, [1.0] * 6), rel_tol=1e-13
    )


@settings(max_examples=25)
@given(share=st.floats(0, 1))
def test_a_mixture_has_the_mixture_of_two_losses(share):
    logits, labels = drawn()
    partners = labels.flip(0)
    slow = share * cross_entropy(logits, labels) + (1 - share) * cross_entropy(logits, partners)
    assert torch.isclose(mixup_loss(logits, labels, partners, share), slow, rtol=1e-12)
    each = torch.full((6,), share, dtype=torch.float64)
    assert torch.isclose(mixup_loss(logits, labels, partners, each), slow, rtol=1e-12)


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (torch.zeros(5).long(), ValueError, r"labels has shape \(5,\) for logits \(6, 4\); give one label per row"),
        (torch.zeros(6).int(), TypeError, "labels are of torch.int32; give classes as int64"),
        (torch.zeros(6, 3), ValueError, "soft labels need one share per class"),
        (torch.full((6,), 4), IndexError, "4 is out of bounds"),
        (torch.full((6,), -2), IndexError, "-2 is out of bounds"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, error, message):
    with pytest.raises(error, match=message):
        cross_entropy(drawn()[0], labels)


def test_other_arguments_that_do_not_fit_are_refused():
    logits, labels = drawn()
    with pytest.raises(ValueError, match=r"weights \(5,\), rows \(6,\): give one weight per row"):
        cross_entropy(logits, labels, weights=torch.ones(5))
    with pytest.raises(ValueError, match=r"logits has shape \(4,\)"):
        cross_entropy(logits[0], labels)
    with pytest.raises(ValueError, match="embeddings have 4 numbers and prototypes 3; give one width"):
        cosine_cross_entropy(logits, logits[:, :3], labels)
    with pytest.raises(ValueError, match="scale=0"):
        cosine_cross_entropy(logits, logits, labels, scale=0.0)
    with pytest.raises(ValueError, match=r"share=1\.5"):
        mixup_loss(logits, labels, labels, 1.5)
    with pytest.raises(ValueError, match="give one share per row"):
        mixup_loss(logits, labels, labels, torch.ones(3))
