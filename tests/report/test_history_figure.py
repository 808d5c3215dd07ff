"""The figure of a run: the columns it was asked for, over stages in a row."""

import math

import pytest

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure

from privkd.report import plot_history
from privkd.trainer import History

HISTORY = History(
    [
        {"stage": "first", "step": 2.0, "loss": 3.0},
        {"stage": "first", "step": 4.0, "loss": 2.0, "accuracy": 0.5},
        {"stage": "second", "step": 3.0, "loss": 1.0, "other": math.inf},
    ]
)


def drawn(ax):
    lines = [line for line in ax.lines if not line.get_label().startswith("_")]
    return {line.get_label(): [None if y != y else [x, y] for x, y in line.get_xydata().tolist()] for line in lines}


def test_every_column_of_numbers_is_drawn_over_the_steps_of_all_stages():
    ax = Figure().subplots()
    assert plot_history(HISTORY, ax) is ax
    assert drawn(ax) == {"loss": [[2, 3], [4, 2], None, [7, 1]], "accuracy": [[4, 0.5]], "other": []}
    borders = [line for line in ax.lines if line.get_linestyle() == ":"]
    assert [line.get_xdata()[0] for line in borders] == [4.0]


def test_columns_can_be_chosen_and_unknown_ones_are_refused():
    ax = Figure().subplots()
    plot_history(HISTORY, ax, columns=["accuracy"])
    assert list(drawn(ax)) == ["accuracy"]
    with pytest.raises(KeyError, match="known: stage, step, loss"):
        plot_history(HISTORY, Figure().subplots(), columns=["acuracy"])


def test_a_silent_run_says_so():
    ax = Figure().subplots()
    plot_history(History([{"step": 1.0}]), ax)
    assert ax.texts[0].get_text() == "nothing was reported"
