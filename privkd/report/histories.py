"""Figure of a run's history: every column that was asked for against the steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING

from privkd.report.figures import SERIES
from privkd.report.legends import as_label, finished

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from privkd.trainer import History

_STYLES = ("-", "--", "-.", (0, (1, 1)))


def plot_history(history: History, ax: Axes, *, columns: Sequence[str] | None = None) -> Axes:
    """Losses, logs and figures of merit against steps; stages follow each other, with a line between them.

    Args:
        history: of a run.
        ax: where to draw.
        columns: names to draw; by default every column of numbers but the steps.

    Returns:
        The same `ax`.

    Raises:
        KeyError: a column was not reported.
    """
    if columns is None:
        columns = [name for name in history.names if name not in ("step", "stage", "epoch")]
    places, borders = _places(history)
    looks = [(color, style) for style, color in product(_STYLES, SERIES)]  # a colour comes again with another line
    for position, name in enumerate(columns):
        color, style = looks[position % len(looks)]
        points = [(x, y) for x, y in zip(places, history.column(name), strict=True) if math.isfinite(y)]
        points = _interrupted(points, borders)  # another stage is another loss
        marker = "o" if len(points) == 1 else None
        xs, ys = [x for x, _ in points], [y for _, y in points]
        ax.plot(xs, ys, color=color, linestyle=style, linewidth=2, marker=marker, label=as_label(name))
    for border in borders:
        ax.axvline(border, color=SERIES[5], linewidth=1, linestyle=":")
    if not columns:
        ax.text(0.5, 0.5, "nothing was reported", transform=ax.transAxes, ha="center")
    return finished(ax, "steps")


def _interrupted(points: list[tuple[float, float]], borders: Sequence[float]) -> list[tuple[float, float]]:
    """The points with a gap after every border that lies between two of them."""
    found: list[tuple[float, float]] = []
    for point in points:
        if found and any(found[-1][0] <= border < point[0] for border in borders):
            found.append((point[0], math.nan))
        found.append(point)
    return found


def _places(history: History) -> tuple[list[float], list[float]]:
    """Steps counted over all stages, and where one stage ends and the next begins."""
    places: list[float] = []
    borders: list[float] = []
    done, last = 0.0, None
    for row in history:
        stage = row.get("stage")
        if places and stage != last:
            done = places[-1]
            borders.append(done)
        last = stage
        places.append(done + float(row["step"]))
    return places, borders
