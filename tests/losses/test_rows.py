"""The common part of all losses: weighted means, unit vectors, precision, refusals."""

from inspect import unwrap

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from privkd.losses.rows import full_precision, reduced, require_rows, require_same_shape, unit

numbers = st.lists(st.tuples(st.floats(-100, 100), st.floats(0, 10)), min_size=1, max_size=8)


@given(pairs=numbers)
def test_a_mean_divides_by_the_sum_of_the_weights(pairs):
    values, weights = (torch.tensor(column, dtype=torch.float64) for column in zip(*pairs, strict=True))
    total = sum(w for _, w in pairs)
    slow = sum(v * w for v, w in pairs) / total if total else 0.0
    # Sums of at most 8 products of up to 1000, each rounded once: 16 * 8000 * 2^-53, over a total that may be small.
    assert abs(float(reduced(values, weights, "mean")) - slow) <= 2e-11 / (total or 1.0)
    assert reduced(values, weights, "none").tolist() == [v * w for v, w in pairs]


def test_weights_of_double_size_change_no_mean_and_double_a_sum():
    values, weights = torch.tensor([1.0, 5.0, 2.0]), torch.tensor([1.0, 0.5, 2.0])
    assert reduced(values, weights, "mean") == reduced(values, 2 * weights, "mean")
    assert 2 * reduced(values, weights, "sum") == reduced(values, 2 * weights, "sum")


def test_no_row_at_all_gives_zero_with_zero_gradients():
    values = torch.tensor([1.0, 2.0], requires_grad=True)
    loss = reduced(values, torch.tensor([False, False]), "mean")
    loss.backward()
    assert loss == 0
    assert values.grad.tolist() == [0.0, 0.0]
    assert reduced(torch.zeros(0), None, "mean") == 0


def test_wrong_weights_and_words_are_refused():
    with pytest.raises(
        ValueError, match=r"weights has shape \(3,\) for losses of shape \(2,\); give one weight per row"
    ):
        reduced(torch.zeros(2), torch.ones(3), "mean")
    with pytest.raises(ValueError, match="reduction='average' must be 'mean', 'sum' or 'none'"):
        unwrap(reduced)(torch.zeros(2), None, "average")


def test_unit_vectors_have_length_one_and_zero_vectors_get_no_gradient():
    rows = torch.tensor([[3.0, 4.0], [0.0, 0.0], [1e-12, 0.0], [3e19, 4e18]], dtype=torch.float64, requires_grad=True)
    lengths = unit(rows).norm(dim=1)
    assert torch.allclose(lengths, torch.tensor([1.0, 0.0, 0.0, 1.0], dtype=torch.float64), rtol=1e-15)
    (unit(rows) * torch.tensor([1.0, 2.0])).sum().backward()
    assert rows.grad[1:3].tolist() == [[0.0, 0.0], [0.0, 0.0]]
    # The twin that divides by max(length, 1e-8) has a gradient of 10^8 there.
    twin = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    torch.nn.functional.normalize(twin, eps=1e-8).sum().backward()
    assert twin.grad.max() > 1e7
    assert torch.autograd.gradcheck(unit, torch.randn(3, 4, dtype=torch.float64, requires_grad=True))


def test_half_precision_and_autocast_are_left_before_a_loss_is_computed():
    seen = []

    @full_precision
    def loss(a, *, b):
        seen.append((a.dtype, b.dtype, (a @ b.T).dtype))
        return (a @ b.T).sum()

    a = torch.rand(2, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (a @ a.T).dtype == torch.bfloat16
        loss(a.bfloat16(), b=a)
    loss(a.half(), b=a.double().float())
    assert seen == [(torch.float32,) * 3] * 2
    loss(a.double(), b=a.double())
    assert seen[-1] == (torch.float64,) * 3


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        (torch.zeros(4), ValueError, r"rows has shape \(4,\); shape \(rows, width >= 1\) is needed"),
        (torch.zeros(4, 0), ValueError, "width >= 1"),
        (torch.zeros(2, 3), ValueError, "rows has 2 rows, and this loss compares at least 3"),
        (torch.zeros(4, 3).long(), TypeError, "rows is of torch.int64; real floating numbers"),
        (torch.zeros(4, 3, dtype=torch.complex64), TypeError, "complex64"),
    ],
)
def test_what_is_no_batch_of_rows_is_refused(rows, error, message):
    with pytest.raises(error, match=message):
        require_rows(3, rows=rows)
    require_rows(3, rows=torch.zeros(3, 1))


def test_different_shapes_are_refused_with_both_of_them():
    with pytest.raises(ValueError, match=r"a \(2,\), b \(3,\): both must have one shape"):
        require_same_shape(a=torch.zeros(2), b=torch.zeros(3))
