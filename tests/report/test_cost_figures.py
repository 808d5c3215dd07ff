"""Figures of costs draw what they are given, and bands where the truth is not known exactly."""

import math

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")

from matplotlib.figure import Figure  # noqa: E402  after the check

from accountants import RandomizedResponse, curve, delta  # noqa: E402
from accountants.bound import Bound  # noqa: E402
from accountants.guarantees.tradeoff import Tradeoff  # noqa: E402
from privkd.report import attack_curve, budget_curve, profile_curve  # noqa: E402


def axes():
    return Figure().add_subplot()


def line(ax, label):
    (found,) = [one for one in ax.lines if one.get_label().startswith(label)]
    return found.get_xdata(), found.get_ydata()


def texts(ax):
    return " ".join(text.get_text() for text in ax.texts)


def band_height(ax):
    """Largest vertical extent of the band."""
    vertices = ax.collections[0].get_paths()[0].vertices
    return float(vertices[:, 1].max() - vertices[:, 1].min())


def test_the_line_of_a_profile_is_the_guarantee_and_the_mark_is_written_down():
    ax = axes()
    deltas = [Bound(0.1, 0.2, "x"), Bound(0.001, 0.002, "x"), Bound(0.0, 1e-5, "x")]
    assert profile_curve([0.0, 1.0, 2.0], deltas, ax, marked=(1.98765, 1e-5)) is ax
    x, y = line(ax, "guaranteed")
    assert [at for at in x if at in (0.0, 1.0, 2.0)] == [0.0, 1.0, 2.0]
    assert [high for at, high in zip(x, y, strict=True) if at in (0.0, 1.0, 2.0)] == [0.2, 0.002, 1e-5]
    assert "epsilon 1.988" in texts(ax)  # rounded up
    assert ax.get_yscale() == "log"
    assert ax.get_ylim()[0] > 0.0


@pytest.mark.parametrize("bound", [Bound(0.0, 0.0, "pure"), Bound(1.0, 1.0, "no-noise")])
def test_profiles_without_a_curve_can_be_drawn(bound):
    ax = profile_curve([0.0, 1.0], [bound] * 2, axes(), marked=(math.inf, 1e-5))
    assert ("delta is 0" in texts(ax)) == (bound.upper == 0.0)
    assert all(np.isfinite(ax.get_ylim()))


def test_the_ceiling_of_attacks_lies_above_the_blind_guess():
    rates = (1e-4, 1e-3, 1e-2, 0.1, 1.0)
    fnrs = tuple(Bound((1.0 - rate) * 0.8, (1.0 - rate) * 0.9, "x") for rate in rates)
    found = Tradeoff(rates, fnrs, Bound(0.1, 0.2, "x"), 1.0)
    ax = axes()
    assert attack_curve(found, ax, marked=(1e-2,)) is ax
    _, ceiling = line(ax, "no attack")
    _, guess = line(ax, "blind guess")
    assert list(guess) == list(rates)
    assert all(np.asarray(ceiling)[:-1] > np.asarray(guess)[:-1])
    assert texts(ax) in ("0.208", "0.2081")  # 1 - 0.99 * 0.8, rounded up
    assert band_height(ax) > 0.0


def test_a_budget_is_a_staircase_below_its_line():
    ax = axes()
    spent = [(0, Bound(0.0, 0.0, "pure")), (1, Bound(0.5, 1.0, "x")), (2, Bound(0.9, 1.5, "x"))]
    assert budget_curve(spent, ax, budget=2.0, delta=1e-5) is ax
    assert list(line(ax, "spent")[1]) == [0.0, 1.0, 1.5]
    assert set(line(ax, "budget 2")[1]) == {2.0}
    assert ax.get_ylim()[1] > 2.0
    assert "1e-05" in ax.get_ylabel()


def test_infinite_costs_and_empty_ledgers_can_be_drawn():
    for spent in ([(0, Bound(0.0, 0.0, "pure"))], [(0, Bound(0.0, 0.0, "pure")), (1, Bound(math.inf, math.inf, "x"))]):
        ax = budget_curve(spent, axes())
        assert list(line(ax, "spent")[1]) == [0.0]
        assert ax.get_ylim()[1] > 0.0


def test_the_line_between_known_epsilons_is_a_guarantee():
    event = RandomizedResponse(10, 1.0) * 3
    epsilons = [0.0, 1.0, 2.0, 2.95, 3.0]
    deltas = curve(event, epsilons, adjacency="replace-one")
    ax = profile_curve(epsilons, deltas, axes())
    drawn = ax.lines[0].get_xydata()
    assert len(drawn) > 5 * len(epsilons)
    for at, shown in drawn:
        assert shown >= delta(event, float(at), adjacency="replace-one").lower
    straight = math.sqrt(deltas[3].upper * max(deltas[4].upper, 1e-300))  # a log-linear line at the middle
    assert straight < delta(event, 2.975, adjacency="replace-one").lower
