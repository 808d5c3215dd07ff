"""The figures of a report show its rows, and none whose epsilon is about something else."""

import io
import re
from html import unescape

import numpy as np
import pytest
from matplotlib import rc_context
from matplotlib.figure import Figure

from privkd.report import Result, Samples, accuracy_curve
from privkd.report.figures import mosaic


def row(method, scope, epsilon, accuracy, *, name="r", ceiling=None):
    delta = None if epsilon is None else 1e-5
    return Result(
        name=name,
        method=method,
        scope=scope,
        epsilon=epsilon,
        delta=delta,
        accuracy=accuracy,
        ceiling=ceiling,
    )


@pytest.fixture
def ax():
    return Figure().add_subplot()


def test_curve_draws_methods_ceiling_and_reference_and_returns_its_ax(ax):
    rows = [
        row("reference", "none", None, 0.9, name=""),
        row("votes", "training-record", 3.0, 0.8),
        row("votes", "training-record", 1.0, 0.5),
        row("one teacher", "teacher", 1.0, 0.1, ceiling=0.23),
    ]
    assert accuracy_curve(rows, ax) is ax
    lines = {line.get_label(): line.get_xydata().tolist() for line in ax.get_lines()}
    assert lines["votes"] == [[1.0, 0.5], [3.0, 0.8]]
    assert lines["ceiling of scope teacher"] == [[1.0, 0.23]]
    assert "reference (not private)" in lines


def test_epsilon_of_single_answers_never_shares_the_axis(ax):
    rows = [row("votes", "training-record", 1.0, 0.5), row("answers", "synthetic-label", 3.0, 0.99)]
    accuracy_curve(rows, ax)
    assert "answers" not in {line.get_label() for line in ax.get_lines()}


@pytest.mark.parametrize("shape", [(5, 3, 4), (5, 3, 4, 3)])
def test_mosaic_holds_every_image_where_it_belongs(shape):
    images = np.random.default_rng(0).integers(0, 256, size=shape)
    sheet = mosaic(Samples(images=images.tolist(), caption=""), columns=2)
    assert sheet.shape == (3 * 4 + 1, 2 * 5 + 1, 3)
    for position, image in enumerate(images):
        top, left = (position // 2) * 4 + 1, (position % 2) * 5 + 1
        expected = image if image.ndim == 3 else np.stack([image] * 3, axis=-1)
        assert (sheet[top : top + 3, left : left + 4] == expected).all()


@pytest.mark.parametrize("method", ["$\\frac{", "costs $5 or $6", "_hidden", "a_b^c"])
def test_names_of_methods_are_drawn_letter_by_letter(ax, method):
    accuracy_curve([row(method, "training-record", 1.0, 0.5), row("x", "training-record", 2.0, 0.5)], ax)
    content = io.StringIO()
    with rc_context({"svg.fonttype": "none"}):
        ax.get_figure().savefig(content, format="svg")
    drawn = {unescape(text).strip() for text in re.findall(r"<text[^>]*>([^<]*)</text>", content.getvalue())}
    assert method in drawn
