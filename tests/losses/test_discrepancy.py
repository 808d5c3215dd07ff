"""Maximum mean discrepancy against sums over all pairs, and what each kernel can see."""

import math
from inspect import unwrap

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from privkd.losses import mean_match, mmd

KERNELS = ("gaussian", "linear", "polynomial", "laplace")


def rows(n=5, d=3, seed=0, scale=1.0):
    return scale * torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def slow_mmd(x, y, kernel):
    stacked = [*x.tolist(), *y.tolist()]
    count = len(stacked)
    bandwidth = sum(math.dist(a, b) ** 2 for a in stacked for b in stacked) / (count**2 - count)

    def dot(a, b):
        return sum(u * v for u, v in zip(a, b, strict=True))

    k = {
        "gaussian": lambda a, b: sum(math.exp(-(math.dist(a, b) ** 2) / (bandwidth * 2.0**q)) for q in range(-2, 3)),
        "linear": dot,
        "polynomial": lambda a, b: (dot(a, b) + 1) ** 2,
        "laplace": lambda a, b: sum(math.exp(-g * math.dist(a, b) ** 2) for g in (0.1, 1, 5)),
    }[kernel]
    x, y = x.tolist(), y.tolist()
    return (
        sum(k(a, b) for a in x for b in x) / len(x) ** 2
        + sum(k(a, b) for a in y for b in y) / len(y) ** 2
        - 2 * sum(k(a, b) for a in x for b in y) / (len(x) * len(y))
    )


@pytest.mark.parametrize("kernel", KERNELS)
@settings(max_examples=15)
@given(m=st.integers(1, 6), n=st.integers(1, 6), seed=st.integers(0, 100))
def test_every_kernel_agrees_with_sums_over_all_pairs(kernel, m, n, seed):
    x, y = rows(m, seed=seed), rows(n, seed=seed + 1)
    # Kernels are below 1000 here, rounded a few times at 2^-53, and averages of them cancel.
    assert math.isclose(mmd(x, y, kernel=kernel), slow_mmd(x, y, kernel), rel_tol=1e-11, abs_tol=1e-12)


@pytest.mark.parametrize("kernel", KERNELS)
@settings(max_examples=15)
@given(seed=st.integers(0, 100))
def test_it_is_never_negative_zero_for_equal_samples_and_symmetric(kernel, seed):
    x, y = rows(seed=seed), rows(4, seed=seed + 1)
    assert mmd(x, y, kernel=kernel) >= -1e-13
    assert abs(float(mmd(x, x.flip(0), kernel=kernel))) < 1e-12
    assert math.isclose(mmd(x, y, kernel=kernel), mmd(y, x, kernel=kernel), rel_tol=1e-12, abs_tol=1e-13)


@given(seed=st.integers(0, 100))
def test_the_linear_kernel_matches_means(seed):
    x, y = rows(seed=seed), rows(7, seed=seed + 1)
    distance = (x.mean(0) - y.mean(0)).norm() ** 2
    assert math.isclose(mean_match(x, y), distance, rel_tol=1e-12)
    assert torch.equal(mean_match(x, y), mmd(x, y, kernel="linear"))


def test_the_gaussian_kernel_sees_a_spread_that_the_linear_one_does_not():
    """1000 points in 8 dimensions of standard deviation 1 against 2: measured .540 against .037 beforehand."""
    generator = torch.Generator().manual_seed(0)
    x, same, y = (torch.randn(1000, 8, generator=generator) for _ in range(3))
    assert mmd(x, 2 * y) >= 0.3
    assert mmd(x, 2 * y, kernel="linear") <= 0.1
    assert mmd(x, same) < 0.02
    assert mmd(x, y + 1, kernel="linear") > 5


def test_the_bandwidth_gets_no_gradient():
    x, y = rows(4).requires_grad_(), rows(4, seed=1)
    mmd(x, y).backward()
    stacked = torch.cat([x.detach(), y])
    bandwidth = float(torch.cdist(stacked, stacked).square().sum()) / 56
    again = x.detach().clone().requires_grad_()

    def kernel(a, b):
        squares = (a[:, None] - b).square().sum(-1)
        return sum(torch.exp(-squares / (bandwidth * 2.0**q)) for q in range(-2, 3)).mean()

    (kernel(again, again) + kernel(y, y) - 2 * kernel(again, y)).backward()
    assert torch.allclose(x.grad, again.grad, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("kernel", ["gaussian", "laplace"])
def test_far_from_the_origin_and_in_half_precision_the_loss_is_the_same(kernel):
    x, y = rows(20, 64).float(), rows(20, 64, seed=1).float() + 0.5
    # Numbers near 1000 keep 2^-14 in float32.
    assert math.isclose(mmd(x + 1000, y + 1000, kernel=kernel), mmd(x, y, kernel=kernel), rel_tol=1e-2, abs_tol=1e-4)
    long = torch.full((4, 4096), 8.0, dtype=torch.float16)
    assert torch.isfinite(mmd(long, -long, kernel=kernel)), "squared distances of 10^6 overflow in float16"


@pytest.mark.parametrize("kernel", KERNELS)
def test_identical_rows_give_zero_and_finite_gradients(kernel):
    x = torch.ones(4, 3, requires_grad=True)
    loss = mmd(x, torch.ones(5, 3), kernel=kernel)
    loss.backward()
    assert abs(float(loss.detach())) < 1e-5
    assert torch.isfinite(x.grad).all()
    assert torch.isfinite(mmd(torch.ones(1, 3), torch.zeros(1, 3), kernel=kernel))


def test_samples_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="x has rows of 3 numbers and y of 4"):
        mmd(rows(), rows(5, 4))
    with pytest.raises(ValueError, match="y has 0 rows"):
        mmd(rows(), rows(0))
    with pytest.raises(ValueError, match="kernel='cauchy' must be one of linear, gaussian, polynomial, laplace"):
        unwrap(mmd)(rows(), rows(), kernel="cauchy")
