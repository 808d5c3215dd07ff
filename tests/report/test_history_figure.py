"""The figure of a run: the columns it was asked for, over stages in a row."""

import io
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


def of_series(count, label="loss of part"):
    rows = [{"step": float(step), **{f"{label} {i}": float(step + i) for i in range(count)}} for step in (1, 2, 3)]
    return History([{"stage": "only", **row} for row in rows])


LONG = "the mean over all parts of the loss of the student's head"


@pytest.mark.parametrize(
    ("count", "label"), [(1, "l"), (12, "loss of part"), (40, "loss of part"), (3, LONG), (40, LONG)]
)
def test_the_legend_stays_on_the_canvas_and_covers_nothing(count, label):
    figure = Figure()
    ax = figure.subplots()
    plot_history(of_series(count, label), ax)
    figure.savefig(io.BytesIO())
    legend, axis = ax.get_legend().get_window_extent(), ax.xaxis.get_tightbbox()
    assert figure.bbox.x0 <= legend.x0
    assert legend.x1 <= figure.bbox.x1
    assert figure.bbox.y0 <= legend.y0
    assert legend.y1 <= axis.y0
    assert ax.get_window_extent().height > 0.2 * figure.bbox.height


def test_a_legend_that_would_fill_the_picture_says_how_many_it_leaves_out():
    for count, is_complete in ((12, True), (40, False)):
        ax = Figure().subplots()
        plot_history(of_series(count), ax)
        texts = [text.get_text() for text in ax.get_legend().get_texts()]
        assert (len(texts) == count) is is_complete
        assert is_complete or texts[-1] == f"and {count - len(texts) + 1} more"


def test_twelve_series_look_different():
    ax = Figure().subplots()
    plot_history(of_series(12), ax)
    assert len({(line.get_color(), line.get_linestyle()) for line in ax.lines}) == 12
