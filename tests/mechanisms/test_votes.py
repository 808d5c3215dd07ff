"""Vote histograms: noise of the right size, one unit of vote per teacher, charge before draw."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from accountants import BudgetExceeded, Gaussian, Ledger, epsilon
from privkd.mechanisms import CellHistogram, GNMax, SeededNoise, SystemNoise, VoteHistogram
from privkd.mechanisms.private_value import Private


def ledger(**kwargs):
    return Ledger(adjacency="replace-one", **kwargs)


def test_released_histogram_differs_from_the_true_one_by_independent_noise_of_the_stated_size():
    rows, sigma, teachers = 20_000, 7.0, 50
    votes = torch.zeros(rows, 4, dtype=torch.float64)
    votes[:, 1] = teachers
    out = VoteHistogram(sigma).release(votes, teachers=teachers, ledger=ledger(), noise=SystemNoise())
    noise = (out - votes).numpy()
    limit = math.sqrt(-0.5 * math.log(0.5e-6) / noise.size)  # Kolmogorov distance, false alarm 1e-6
    assert stats.kstest(noise.ravel(), "norm", args=(0, sigma)).statistic < limit
    assert stats.kstest(noise.ravel() * 0.9, "norm", args=(0, sigma)).statistic > limit  # 10% too little noise is seen
    correlation = np.corrcoef(noise.T) - np.eye(4)
    assert abs(correlation).max() < 6 / math.sqrt(rows)


def test_cell_histogram_noise_has_the_stated_size_and_counts_are_right_without_it():
    rng = torch.Generator().manual_seed(0)
    cells, labels = torch.randint(0, 300, (5000,), generator=rng), torch.randint(0, 100, (5000,), generator=rng)
    boxed = Private(cells, origin="cells"), Private(labels, origin="labels")
    exact = CellHistogram(0.0).release(*boxed, shape=(300, 100), ledger=ledger(), noise=SeededNoise(0))
    slow = torch.zeros(300, 100, dtype=torch.float64)
    for c, y in zip(cells.tolist(), labels.tolist(), strict=True):
        slow[c, y] += 1
    assert torch.equal(exact, slow)
    noisy = CellHistogram(3.0).release(*boxed, shape=(300, 100), ledger=ledger(), noise=SeededNoise(0))
    noise, limit = (noisy - slow).numpy().ravel(), math.sqrt(-0.5 * math.log(0.5e-6) / 30_000)
    assert stats.kstest(noise, "norm", args=(0, 3.0)).statistic < limit
    assert stats.kstest(0.9 * noise, "norm", args=(0, 3.0)).statistic > limit  # 10 % too little noise is seen


def test_histogram_and_argmax_cost_the_same_and_cells_cost_one_row():
    account, same, cell = ledger(), ledger(), ledger()
    votes = torch.tensor([[6.0, 4.0], [1.0, 9.0], [5.0, 5.0]])
    VoteHistogram(20.0).release(votes, teachers=10, ledger=account, noise=SeededNoise(0))
    labels = GNMax(20.0).release(votes, teachers=10, ledger=same, noise=SeededNoise(0))
    assert labels.shape == (3,)
    assert account.epsilon(1e-5) == same.epsilon(1e-5)
    assert account.epsilon(1e-5).upper == pytest.approx(
        epsilon(Gaussian(20.0 / math.sqrt(2)) * 3, 1e-5).upper, rel=1e-9
    )
    boxed = Private(torch.arange(3), origin="c"), Private(torch.tensor([0, 1, 1]), origin="y")
    CellHistogram(20.0).release(*boxed, shape=(3, 2), ledger=cell, noise=SeededNoise(0))
    assert cell.epsilon(1e-5).upper == pytest.approx(epsilon(Gaussian(20.0 / math.sqrt(2)), 1e-5).upper, rel=1e-9)


def test_replacing_one_record_moves_a_row_by_at_most_sqrt_two():
    """The worst pair reaches the bound, for whole votes and for averaged ones."""
    rng = np.random.default_rng(0)
    worst = 0.0
    for _ in range(2000):
        before, after = rng.dirichlet(np.full(4, 0.05)), rng.dirichlet(np.full(4, 0.05))
        worst = max(worst, float(np.linalg.norm(before - after)))
    assert worst <= math.sqrt(2) + 1e-12
    assert np.linalg.norm(np.array([1.0, 0, 0, 0]) - np.array([0, 0, 1.0, 0])) == pytest.approx(math.sqrt(2))


@pytest.mark.parametrize(
    ("votes", "match"),
    [
        (torch.tensor([[5.0, 4.0]]), "sum to teachers"),
        (torch.tensor([[12.0, -2.0]]), "non-negative"),
        (torch.tensor([[float("nan"), 10.0]]), "NaN"),
        (torch.tensor([10.0]), "shape"),
        (torch.zeros(0, 2), "shape"),
        (torch.tensor([[10.0]]), "classes >= 2"),
    ],
)
def test_bad_votes_are_refused_before_the_charge(votes, match):
    account = ledger()
    with pytest.raises(ValueError, match=match):
        VoteHistogram(3.0).release(votes, teachers=10, ledger=account, noise=SeededNoise(0))
    assert not account.events


def test_a_single_teacher_is_refused():
    with pytest.raises(ValueError, match="teachers"):
        VoteHistogram(3.0).release(torch.tensor([[1.0, 0.0]]), teachers=1, ledger=ledger(), noise=SeededNoise(0))


@pytest.mark.parametrize(("cells", "labels"), [([5], [0]), ([0], [2]), ([-1], [0]), ([0, 1], [0]), ([], [])])
def test_bad_cells_are_refused_before_the_charge(cells, labels):
    account = ledger()
    boxed = [Private(torch.tensor(v, dtype=torch.int64), origin="v") for v in (cells, labels)]
    with pytest.raises(ValueError, match=r"cells|labels"):
        CellHistogram(1.0).release(*boxed, shape=(5, 2), ledger=account, noise=SeededNoise(0))
    assert not account.events


def test_a_refused_histogram_draws_no_noise():
    class Explosive(SeededNoise):
        def words(self, count):
            raise AssertionError("noise was drawn although the ledger refused")

    votes = torch.tensor([[10.0, 0.0]])
    boxed = Private(torch.arange(3), origin="c"), Private(torch.tensor([0, 1, 1]), origin="y")
    account = ledger(epsilon=0.1, delta=1e-5)
    with pytest.raises(BudgetExceeded):
        VoteHistogram(1.0).release(votes, teachers=10, ledger=account, noise=Explosive(0))
    with pytest.raises(BudgetExceeded):
        GNMax(1.0).release(votes, teachers=10, ledger=account, noise=Explosive(0))
    with pytest.raises(BudgetExceeded):
        CellHistogram(1.0).release(*boxed, shape=(3, 2), ledger=account, noise=Explosive(0))
    assert not account.events
    open_ = ledger()
    with pytest.raises(AssertionError, match="noise was drawn"):
        CellHistogram(1.0).release(*boxed, shape=(3, 2), ledger=open_, noise=Explosive(0))
    assert len(open_.events) == 1  # charged before the draw: a crash over-counts


def test_private_values_show_no_numbers_and_refuse_to_be_used():
    import pickle

    from privkd.errors import PrivateValueError

    boxed = Private(torch.tensor([123.0, 456.0]), origin="vote counts")
    assert "123" not in repr(boxed) + str(boxed) + f"{boxed}"
    for misuse in (
        lambda: torch.argmax(boxed),
        lambda: np.asarray(boxed),
        lambda: pickle.dumps(boxed),
        lambda: boxed.numpy(),
    ):
        with pytest.raises(PrivateValueError):
            misuse()
