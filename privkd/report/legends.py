"""What all figures share: labelled axes, and legends that stay on the canvas, below the axes, in room that these give up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

_MOST_COLUMNS = 3
_MOST_HEIGHT = 0.6  # of the axes, for the legend; what does not fit is counted, not drawn
_GAP = 6.0  # points between the label of the axis and the legend


def as_label(text: str) -> str:
    r"""A foreign text as matplotlib shows it letter by letter: no formula between dollars, no entry hidden for a leading "_".

    Example:
        >>> as_label("costs $5"), as_label("_private")
        ('costs \\$5', ' _private')
    """
    text = text.replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def finished(ax: Axes, x_label: str, y_label: str = "", *, grid: Literal["both", "x", "y"] = "both") -> Axes:
    """The axes with their labels, a faint grid, no frame above and beside the data, and a legend below."""
    ax.set_xlabel(x_label)
    ax.set_ylabel(y_label)
    ax.grid(True, axis=grid, alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    legend_below(ax)
    return ax


def legend_below(ax: Axes) -> None:
    """Give the axes a legend below them that neither leaves the figure nor covers anything.

    The axes shrink by the height of the legend, so it does not matter whether the figure is later saved with a tight
    bounding box. Long labels get fewer columns. Where even so many entries would take most of the picture, the last ones
    are left out and counted. With a layout engine (`layout="constrained"`) the engine makes the room.

    Args:
        ax: finished axes, labels and limits set; without labelled artists nothing happens.
    """
    count, figure = len(ax.get_legend_handles_labels()[0]), ax.get_figure(root=True)
    if not count or figure is None:
        return
    outer = ax.get_tightbbox()
    if outer is None or figure.get_layout_engine() is not None:
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=_MOST_COLUMNS, frameon=False)
        return
    place = ax.get_position()
    bottom = max(0.0, outer.y0 / figure.bbox.height)
    while True:
        legend = _fitting(ax, figure, count, bottom)
        height = (legend.get_window_extent().height + _GAP * figure.dpi / 72.0) / figure.bbox.height
        if height <= _MOST_HEIGHT * place.height or count == 1:
            break
        count = max(1, count * 3 // 4)
    ax.set_position((place.x0, place.y0 + height, place.width, max(place.height - height, 0.05)))


def _fitting(ax: Axes, figure: Figure, count: int, bottom: float) -> Legend:
    """The first entries in as many columns as the width allows, standing at a height of the figure."""
    from matplotlib.lines import Line2D

    handles, labels = ax.get_legend_handles_labels()
    left_out = len(handles) - count
    handles, labels = handles[:count], labels[:count]
    if left_out:
        handles, labels = [*handles, Line2D([], [], linestyle="none")], [*labels, f"and {left_out} more"]
    spec = ax.get_subplotspec()
    room = figure.bbox.width / (spec.get_gridspec().ncols if spec is not None else 1)
    place = ax.get_position()
    columns = min(_MOST_COLUMNS, len(handles))
    while True:
        legend = ax.legend(handles, labels, ncols=columns, frameon=False, borderaxespad=0.0, loc="lower left")
        width = legend.get_window_extent().width
        if width <= room or columns == 1:
            break
        columns -= 1
    share = width / figure.bbox.width
    left = min(place.x0, max(0.0, place.x1 - share)) if share <= place.x1 else max(0.0, (1.0 - share) / 2)
    legend.set_bbox_to_anchor((left, bottom), transform=figure.transFigure)
    return legend
