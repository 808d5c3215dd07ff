"""Noisy sums of rows: each row moves the sum by the bound at most, noise of the right size, charge before draw."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from accountants import BudgetExceeded, Gaussian, Ledger, epsilon
from privkd.mechanisms import BoundedSum, SeededNoise, SystemNoise, sums
from privkd.mechanisms.private_value import Private


def ledger(adjacency="add-remove", **kwargs):
    return Ledger(adjacency=adjacency, **kwargs)


def exact(rows, bound=1.0):
    """The sum without noise, which no ledger would let anyone release."""
    return BoundedSum(0.0).release(rows, bound=bound, ledger=ledger(), noise=SeededNoise(0))


def slow(rows, bound):
    """Row by row in Python floats."""
    total = [0.0] * rows.shape[1]
    for row in rows.tolist():
        norm = math.sqrt(math.fsum(value * value for value in row))
        if math.isfinite(norm):
            for place, value in enumerate(row):
                total[place] += value * min(1.0, bound / norm if norm else 1.0)
    return torch.tensor(total, dtype=torch.float64)


def mixed_rows(n=200, width=7):
    generator = torch.Generator().manual_seed(0)
    lengths = 10.0 ** torch.empty(n, 1).uniform_(-3, 3, generator=generator)
    return torch.randn(n, width, generator=generator) * lengths


class Explosive(SeededNoise):
    """Whoever draws from it is told so."""

    def words(self, count):
        raise AssertionError("noise was drawn")


@pytest.mark.parametrize("bound", [1e-3, 1.0, 40.0])
def test_the_sum_is_that_of_clipped_rows(bound):
    rows = mixed_rows()
    tolerance = len(rows) * bound * 2.0**-29  # a coordinate loses less than one grid point of 2^-30 bounds per row
    assert torch.allclose(exact(rows, bound), slow(rows, bound), rtol=0.0, atol=tolerance)
    assert not torch.allclose(exact(rows, bound), rows.double().sum(dim=0), rtol=0.0, atol=100 * tolerance)


@given(
    rows=st.lists(st.lists(st.floats(width=64), min_size=3, max_size=3), min_size=1, max_size=6),
    bound=st.floats(1e-300, 1e300),
)
def test_one_record_never_moves_the_sum_by_more_than_the_bound(rows, bound):
    """In exact arithmetic on grid points, whatever the row holds."""
    values = torch.tensor(rows, dtype=torch.float64)
    moved = sums._on_grid(values, bound) - sums._on_grid(values[1:], bound)
    assert torch.equal(moved, sums._on_grid(values[:1], bound))
    assert sum(int(point) ** 2 for point in moved) <= int(sums._GRID) ** 2


def test_sums_in_floating_point_would_move_by_more():
    """The fault that the grid is against: a row below the resolution of the sum moves it by a whole step, or not at all."""
    many = torch.full((4097, 1), 1.0 - 2.0**-20, dtype=torch.float32)
    moves = {float(many.sum() - many[:n].sum()) - float(many[0, 0]) * (4097 - n) for n in range(4090, 4097)}
    assert any(moves - {0.0})
    points = [int(sums._on_grid(many[:n], 1.0)) for n in (4095, 4096, 4097)]
    assert points[2] - points[1] == points[1] - points[0] == int(sums._on_grid(many[:1], 1.0))


def test_the_sum_depends_neither_on_the_order_nor_on_the_chunks(monkeypatch):
    rows = mixed_rows()
    whole = exact(rows)
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(1))
    assert torch.equal(exact(rows[order]), whole)
    assert torch.equal(exact(chunk for chunk in rows.split(13)), whole)
    assert torch.equal(exact([rows[:0], rows]), whole)
    monkeypatch.setattr(sums, "_AT_ONCE", 20)  # blocks of two rows
    assert torch.equal(exact(rows), whole)
    assert not torch.equal(exact(rows[1:]), whole)


def test_rows_that_are_not_finite_count_as_zero():
    rows = mixed_rows(20)
    broken = rows.clone()
    broken[3, 2], broken[5, 0], broken[7] = math.nan, math.inf, 3e38  # the last one is finite, and only long
    kept = [place for place in range(20) if place not in (3, 5)]
    assert torch.equal(exact(broken), exact(broken[kept]))
    assert torch.equal(exact(torch.full((4, 2), math.nan)), torch.zeros(2, dtype=torch.float64))
    assert float(exact(broken[7:8]).norm()) == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64, torch.int64])
def test_any_real_type_is_summed_in_full_precision_and_left_as_it_is(dtype):
    rows = torch.full((3000, 1), 1, dtype=dtype)
    assert exact(rows, 2.0).tolist() == [3000.0]  # float16 cannot count beyond 2048
    assert torch.equal(rows, torch.ones(3000, 1).to(dtype))


@pytest.mark.parametrize("bound", [1.0, 0.01])
def test_noise_has_the_stated_size_and_is_independent(bound):
    width, sigma = 40_000, 3.0
    rows = torch.zeros(2, width)
    out = BoundedSum(sigma).release(rows, bound=bound, ledger=ledger(), noise=SystemNoise())
    noise = (out / bound).numpy()
    limit = math.sqrt(-0.5 * math.log(0.5e-6) / width)  # Kolmogorov distance, false alarm 1e-6
    assert stats.kstest(noise, "norm", args=(0, sigma)).statistic < limit
    assert stats.kstest(0.9 * noise, "norm", args=(0, sigma)).statistic > limit  # 10 % too little noise is seen
    assert abs(np.corrcoef(noise[::2], noise[1::2])[0, 1]) < 6 / math.sqrt(width / 2)


def test_released_values_lie_on_a_public_grid():
    out = BoundedSum(3.0).release(mixed_rows(), bound=1.0, ledger=ledger(), noise=SystemNoise())
    assert torch.equal(out * 2.0**15, (out * 2.0**15).round())  # floor(log2(3)) - 16
    assert not torch.equal(out, out.round())


@pytest.mark.parametrize(("adjacency", "sigma"), [("add-remove", 6.0), ("zero-out", 6.0), ("replace-one", 3.0)])
def test_a_release_costs_one_gaussian_of_its_adjacency(adjacency, sigma):
    account = ledger(adjacency)
    BoundedSum(6.0).release(mixed_rows(), bound=1.0, ledger=account, noise=SeededNoise(0), where="mean")
    assert account.events == (Gaussian(sigma),)
    assert account.charges[0].where == "mean"
    assert account.epsilon(1e-5).upper == epsilon(Gaussian(sigma), 1e-5, adjacency=adjacency).upper


def test_a_replaced_row_moves_the_sum_by_twice_the_bound_and_another_word_is_refused():
    row = torch.tensor([[0.6, 0.8]])
    assert float((exact(row) - exact(-row)).norm()) == pytest.approx(2.0, abs=1e-8)
    with pytest.raises(ValueError, match="adjacency='swap'"):
        BoundedSum(1.0).event("swap")


def test_the_ledger_of_the_records_is_charged_too_and_under_its_own_adjacency():
    own, other = ledger("replace-one"), ledger("add-remove")
    boxed = [Private(rows, origin="features", ledgers=[own]) for rows in mixed_rows().split(50)]
    out = BoundedSum(6.0).release(boxed, bound=1.0, ledger=other, noise=SeededNoise(0))
    assert (own.events, other.events) == ((Gaussian(3.0),), (Gaussian(6.0),))
    plain = BoundedSum(6.0).release(mixed_rows(), bound=1.0, ledger=ledger(), noise=SeededNoise(0))
    assert torch.equal(out, plain)
    same = Private(mixed_rows(), origin="features", ledgers=[other])
    BoundedSum(6.0).release(same, bound=1.0, ledger=other, noise=SeededNoise(0))
    assert len(other.events) == 2
    boxed[1] = Private(mixed_rows(5), origin="features", ledgers=[ledger()])
    with pytest.raises(ValueError, match="different ledgers"):
        BoundedSum(6.0).release(boxed, bound=1.0, ledger=other, noise=Explosive(0))


def test_a_refused_release_reads_and_draws_nothing_and_a_failed_draw_is_charged():
    read = []

    def chunks():
        for rows in mixed_rows().split(50):
            read.append(len(rows))
            yield rows

    tight = ledger(epsilon=0.1, delta=1e-5)
    with pytest.raises(BudgetExceeded):
        BoundedSum(1.0).release(chunks(), bound=1.0, ledger=tight, noise=Explosive(0))
    assert read == [50]  # the first chunk tells the width
    assert not tight.events
    account = ledger()
    with pytest.raises(AssertionError, match="noise was drawn"):
        BoundedSum(1.0).release(chunks(), bound=1.0, ledger=account, noise=Explosive(0))
    assert len(account.events) == 1  # charged before the draw: a crash over-counts


@pytest.mark.parametrize(
    ("values", "kind", "match"),
    [
        ([], ValueError, "no chunk"),
        (torch.zeros(3), ValueError, "shape"),
        (torch.zeros(3, 0), ValueError, "shape"),
        (torch.zeros(2, 2, 2), ValueError, "shape"),
        (torch.zeros(2, 2, dtype=torch.complex64), TypeError, "complex64"),
        (torch.zeros(2, 2, dtype=torch.bool), TypeError, "bool"),
    ],
)
def test_bad_values_are_refused_before_the_charge(values, kind, match):
    account = ledger()
    with pytest.raises(kind, match=match):
        BoundedSum(1.0).release(values, bound=1.0, ledger=account, noise=Explosive(0))
    assert not account.events


def test_chunks_of_different_widths_are_refused_before_the_draw():
    with pytest.raises(ValueError, match="rows of 3 numbers, the first one of 2"):
        BoundedSum(1.0).release([torch.zeros(1, 2), torch.zeros(1, 3)], bound=1.0, ledger=ledger(), noise=Explosive(0))


@pytest.mark.parametrize("bound", [0.0, -1.0, math.inf, math.nan])
def test_a_bound_must_be_positive_and_finite(bound):
    account = ledger()
    with pytest.raises(ValueError, match="bound"):
        BoundedSum(1.0).release(torch.zeros(1, 1), bound=bound, ledger=account, noise=Explosive(0))
    assert not account.events
    with pytest.raises(ValueError, match="sigma"):
        BoundedSum(-1.0)


def test_no_record_at_all_gives_noise_alone():
    account = ledger()
    out = BoundedSum(2.0).release(torch.zeros(0, 5), bound=1.0, ledger=account, noise=SeededNoise(0))
    assert out.shape == (5,)
    assert out.abs().min() > 0.0
    assert account.events == (Gaussian(2.0),)


RUNS = 1500


def audited(noise_of):
    """Lower bound on the epsilon at delta 1e-3 of noise 1.0, at 99.9 %, from sums with and without a row of length 6."""

    def outcomes(rows, seed):
        account, noise = ledger(), noise_of(seed)
        release = BoundedSum(1.0).release
        return torch.cat([release(rows, bound=1.0, ledger=account, noise=noise) for _ in range(RUNS)])

    present, absent = outcomes(torch.tensor([[6.0]]), 0), outcomes(torch.zeros(0, 1), 1)
    threshold = present.median()
    hits, misses = int((present > threshold).sum()), int((absent > threshold).sum())
    low = stats.beta.ppf(0.0005, hits, RUNS - hits + 1)
    high = stats.beta.ppf(0.9995, misses + 1, RUNS - misses)
    return math.log((low - 1e-3) / high)


class Quiet(SeededNoise):
    """A quarter of the noise that is asked for."""

    def normal(self, shape, *, std):
        return 0.25 * super().normal(shape, std=std)


def test_the_sums_of_neighbours_are_as_close_as_claimed_and_faults_are_caught(monkeypatch):
    monkeypatch.setattr(
        Ledger, "charge", lambda *_, **__: None
    )  # thousands of runs of one release, not one run of many
    claim = epsilon(Gaussian(1.0), 1e-3, adjacency="add-remove").upper
    assert 0.2 * claim <= audited(SeededNoise) <= claim
    assert audited(Quiet) > claim
    monkeypatch.setattr(sums, "_on_grid", lambda rows, bound: (rows.double() / bound * sums._GRID).sum(dim=0).long())
    assert audited(SeededNoise) > claim  # nothing is clipped
