"""Figures of a report. Plot functions take an `ax` and return it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from privkd.certificates.scopes import Scope
from privkd.report.legends import as_label, finished
from privkd.report.study import Result, Samples

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SERIES = ("#0072b2", "#d55e00", "#009e73", "#a05195", "#7a6a00", "#5b6770")
"""Line colours (after Okabe and Ito), told apart with every common colour vision; markers differ as well."""
_MARKERS = ("o", "s", "^", "D", "v", "P")
_PLOTTED = {Scope.TRAINING_RECORD, Scope.TRAINING_USER, Scope.TEACHER}


def plotted(results: Sequence[Result]) -> list[Result]:
    """The rows whose epsilon is about training records (or implies it), so that they share one axis."""
    return [row for row in results if row.scope in _PLOTTED and row.epsilon and row.accuracy is not None]


def accuracy_curve(results: Sequence[Result], ax: Axes) -> Axes:
    """Test accuracy against epsilon, one line per method, and non-private references as dashed lines.

    Rows of scope `synthetic-label` are left out: their epsilon is about something else and has no place on
    this axis.

    Args:
        results: rows of a study.
        ax: where to draw.

    Returns:
        The same `ax`.
    """
    rows = plotted(results)
    methods = list(dict.fromkeys(row.method for row in rows))
    for position, method in enumerate(methods):
        line = sorted((row.epsilon, row.accuracy) for row in rows if row.method == method)
        colour, marker = SERIES[position % len(SERIES)], _MARKERS[position % len(_MARKERS)]
        ax.plot(
            *zip(*line, strict=True), marker=marker, color=colour, label=as_label(method), markersize=7, linewidth=2
        )
    ceilings = sorted((row.epsilon, row.ceiling) for row in rows if row.ceiling is not None)
    if ceilings:
        ax.plot(
            *zip(*ceilings, strict=True),
            color=SERIES[-1],
            linestyle=":",
            marker="_",
            markersize=12,
            label="ceiling of scope teacher",
        )
    for row in results:
        if row.scope == Scope.NONE and row.epsilon is None and not row.name and row.accuracy is not None:
            ax.axhline(
                row.accuracy,
                color=SERIES[-1],
                linestyle="--",
                linewidth=1.5,
                label=as_label(f"{row.method} (not private)"),
            )
    ticks = {f"{row.epsilon:.2g}": row.epsilon for row in rows if row.epsilon}  # 0.99999 and 1 share a tick
    ax.set_xscale("log")
    ax.set_xticks(list(ticks.values()), labels=list(ticks))
    ax.minorticks_off()
    ax.set_ylim(0, 1.03)
    ax.set_yticks(np.linspace(0, 1, 6), labels=[f"{share:.0%}" for share in np.linspace(0, 1, 6)])
    return finished(ax, "epsilon for each training record\n(smaller is more private)", "test accuracy", grid="y")


def mosaic(samples: Samples, *, columns: int = 8) -> np.ndarray:
    """All images side by side with a grey gap of one pixel, uint8, shape (rows, columns, 3)."""
    images = np.asarray(samples.images, dtype=np.uint8)
    if images.ndim == 3:
        images = np.repeat(images[..., None], 3, axis=3)
    count, height, width = images.shape[:3]
    rows = -(-count // columns)
    sheet = np.full((rows * (height + 1) + 1, columns * (width + 1) + 1, 3), 128, dtype=np.uint8)
    for position, image in enumerate(images):
        top, left = (position // columns) * (height + 1) + 1, (position % columns) * (width + 1) + 1
        sheet[top : top + height, left : left + width] = image
    return sheet
