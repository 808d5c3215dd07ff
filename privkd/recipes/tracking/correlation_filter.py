"""Correlation filter: a tracker that learns what its target looks like from the first box on, and nothing beforehand.

From the papers: the filter as a ratio of running averages and the peak-to-sidelobe ratio (Bolme et al., CVPR 2010), ridge
regression over cyclic shifts under a Hann window (Henriques et al., arXiv 1404.7584), one denominator for all channels (Danelljan
et al., BMVC 2014), a search over scales with the filter itself (Li and Zhu, ECCV workshops 2014). Ours: channels, window and
settings.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from privkd.data.kinds.sequence import Sequence
from privkd.data.kinds.sequence_results import SequenceResult
from privkd.data.kinds.sequences import Sequences
from privkd.data.procedural.sprite_scenes import SpriteScene, moving_sprites
from privkd.metrics.tracking import OVERLAPS
from privkd.recipes.card import Card
from privkd.recipes.catalogue import register
from privkd.recipes.recipe import Recipe
from privkd.tracking.correlation_filter import CorrelationFilter, CorrelationFilterConfig
from privkd.tracking.one_pass import track_all
from privkd.tracking.scoring import benchmark
from privkd.tracking.tracker import StaticBox

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SHOWN = 3  # sequences of a picture
_MOMENTS = (0.0, 1 / 3, 2 / 3, 1.0)  # of a sequence, from its first frame to its last


def evaluate(products: Mapping[str, Any], data: Sequences) -> dict[str, float]:
    """Success, precision and speed of one pass over each sequence, and the success of a box that never moves.

    `success_auc`, `precision_20` and `normalised_auc` are means over sequences in which frames without the target count as
    failures, `average_overlap` and `success_50` pool the frames with it (they are left out where there are none).
    """
    found = benchmark(_results(products, data), data)
    static = benchmark(track_all(StaticBox, data), data)
    figures = {
        "success_auc": found.mean.auc,
        "precision_20": found.mean.precision_20,
        "normalised_auc": found.mean.normalised_auc,
        "average_overlap": found.mean.average_overlap,
        "success_50": found.mean.success_50,
        "static_success_auc": static.mean.auc,
        "frames_per_second": found.frames_per_second or math.nan,
    }
    return {name: value for name, value in figures.items() if not math.isnan(value)}


def picture(products: Mapping[str, Any], data: Sequences) -> Figure:
    """Frames of up to three sequences with the true box (green) and the tracker's (orange), and the success curves of these."""
    from matplotlib.figure import Figure

    shown = data.take(np.unique(np.linspace(0, len(data) - 1, min(_SHOWN, len(data))).round().astype(int)))
    results = _results(products, shown)
    figure = Figure(figsize=(13, max(1.8 * len(shown), 3.2)), layout="constrained")
    grid = figure.add_gridspec(len(shown), len(_MOMENTS) + 2)
    for row, sequence in enumerate(shown):
        for column, moment in enumerate(_MOMENTS):
            axes = figure.add_subplot(grid[row, column])
            _show_frame(axes, sequence, results[sequence.name], round(moment * (len(sequence) - 1)))
    axes = figure.add_subplot(grid[:, len(_MOMENTS) :])
    for name, scores in benchmark(results, shown).sequences.items():
        axes.plot(OVERLAPS, scores.success, label=f"{name}: {scores.auc:.2f}")
    static = benchmark(track_all(StaticBox, shown), shown).mean
    axes.plot(OVERLAPS, static.success, color="grey", linestyle="--", label=f"a box that never moves: {static.auc:.2f}")
    axes.set(xlabel="overlap (IoU) above", ylabel="share of frames", title="success, and its mean", ylim=(0, 1.02))
    axes.legend(loc="lower left", fontsize="small")
    return figure


def example() -> Sequences:
    """Three short videos of sprites that move over a picture."""
    return moving_sprites(3, SpriteScene(frames=20), seed=3)


def _results(products: Mapping[str, Any], data: Sequences) -> dict[str, SequenceResult]:
    settings = products["tracker"].settings
    return track_all(lambda: CorrelationFilter(settings), data)


def _show_frame(axes: Axes, sequence: Sequence, result: SequenceResult, t: int) -> None:
    from matplotlib.patches import Rectangle

    frame = sequence.frames[t][..., :3]
    axes.imshow(frame if frame.shape[2] == 3 else frame[..., 0], cmap="gray")
    for boxes, visible, colour in (
        (sequence.boxes, sequence.visible, "lime"),
        (result.boxes, result.visible, "darkorange"),
    ):
        if visible[t]:
            x, y, width, height = boxes[t]
            axes.add_patch(Rectangle((x - 0.5, y - 0.5), width, height, fill=False, edgecolor=colour, linewidth=1.5))
    axes.set(xlim=(-0.5, frame.shape[1] - 0.5), ylim=(frame.shape[0] - 0.5, -0.5), xticks=[], yticks=[])
    axes.set_title(f"{sequence.name}, frame {t}", fontsize="small")


CARD = Card(
    title="a tracker by a correlation filter: learned online from the first box, with nothing trained beforehand",
    paper="Bolme et al., CVPR 2010 (MOSSE); Henriques et al., arXiv 1404.7584 (KCF/DCF); Danelljan et al., BMVC 2014 (DSST); "
    "Li and Zhu, ECCV workshops 2014 (SAMF)",
    from_paper=(
        "the filter as a ratio of running averages, and the peak-to-sidelobe ratio as its score (MOSSE)",
        "ridge regression over all cyclic shifts of a patch, linear kernel, under a Hann window (DCF)",
        "one denominator for all channels of the numerator (DSST)",
        "the translation filter searches a few scales of each frame (SAMF)",
    ),
    ours=(
        "eleven channels: three colours and gradients in eight directions, whose scale is fixed by the first frame",
        "the Hann window to a power above 1, which keeps the filter from following the ground instead of the target",
        "the settings",
    ),
    proof="moving sprites, 12 videos: success AUC 0.82; 0.08 for a box that never moves, 0.20 without a window, 0.69 with one "
    "scale. Twelve real sequences: 0.68 against 0.25, but 0.72 without updates and 0.71 under the plain Hann window",
)


@register("correlation-filter")
def correlation_filter(
    config: CorrelationFilterConfig = CorrelationFilterConfig(),  # noqa: B008 - frozen, but of another file
) -> Recipe[Sequences]:
    """The recipe `correlation-filter`; deploys `tracker`, a `privkd.tracking.CorrelationFilter`. It reads nothing off its data.

    Args:
        config: settings of the tracker.
    """
    return Recipe(
        name="correlation-filter",
        config=config,
        data=Sequences,
        card=CARD,
        run=lambda data: {"tracker": CorrelationFilter(config)},
        deploy={"tracker": CorrelationFilter},
        evaluate=evaluate,
        picture=picture,
        example=example,
    )
