"""Figures of what a guarantee means: its curve, what an attack can reach, how a budget was spent.

Each takes an `ax` and returns it, draws certified intervals as bands, and computes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from privkd.report.figures import SERIES
from privkd.report.legends import finished
from privkd.report.wording import upward

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from accountants import Bound
    from accountants.guarantees.tradeoff import Tradeoff

_BAND = {"alpha": 0.25, "linewidth": 0}
_PIECES = 12  # of the line between two neighbouring epsilons
_SMALLEST = 1e-12  # a delta below this is off every picture


def profile_curve(
    epsilons: Sequence[float], deltas: Sequence[Bound], ax: Axes, *, marked: tuple[float, float] | None = None
) -> Axes:
    """Delta against epsilon: the guarantee is the upper line, the truth lies in the band.

    Between the epsilons the upper line is the chord in e^epsilon, in which every delta is convex: a guarantee too. The
    band ends below at the next known lower end.

    Args:
        epsilons: nats, rising.
        deltas: bound on delta at each.
        ax: where to draw.
        marked: an epsilon and its delta to write down.

    Returns:
        The same `ax`.
    """
    shown, upper, lower = _between(epsilons, deltas)
    visible = [value for value in upper if value > _SMALLEST]
    floor = 0.5 * min(visible, default=_SMALLEST)
    lowest = [max(value, floor) for value in lower]
    ax.fill_between(shown, lowest, upper, color=SERIES[0], label="the truth lies here", **_BAND)
    ax.plot(shown, upper, color=SERIES[0], linewidth=2, label="guaranteed (upper end)")
    if marked is not None and math.isfinite(marked[0]):
        ax.plot(marked[:1], marked[1:], marker="o", color=SERIES[1], markersize=6)
        text = f"epsilon {upward(marked[0])}\nat delta {marked[1]:g}"
        ax.annotate(text, marked, xytext=(8, 2), textcoords="offset points", va="bottom", color=SERIES[1])
    if not visible:
        ax.text(0.5, 0.5, "delta is 0", transform=ax.transAxes, ha="center")
    ax.set_yscale("log")
    ax.set_ylim(floor, 1.5)
    ax.set_xlim(0.0, 1.05 * max(epsilons) or 1.0)
    return finished(ax, "epsilon (nats)", "delta")


def _between(epsilons: Sequence[float], deltas: Sequence[Bound]) -> tuple[list[float], list[float], list[float]]:
    """Epsilons with more in between, and both ends of delta at each; a straight line on a log scale would be too low."""
    shown, upper, lower = [epsilons[0]], [deltas[0].upper], [deltas[0].lower]
    for (left, right), (first, second) in zip(pairwise(epsilons), pairwise(deltas), strict=True):
        length = right - left
        for part in range(1, _PIECES):
            share = part / _PIECES if length <= 0.0 else math.expm1(length * part / _PIECES) / math.expm1(length)
            shown.append(left + length * part / _PIECES)
            upper.append(first.upper + (second.upper - first.upper) * share)
            lower.append(second.lower)
        shown.append(right)
        upper.append(second.upper)
        lower.append(second.lower)
    return shown, upper, lower


def attack_curve(tradeoff: Tradeoff, ax: Axes, *, marked: Sequence[float] = (1e-3, 1e-2, 0.1)) -> Axes:
    """Largest true positive rate of any membership attack against its false positive rate, beside a blind guess.

    Args:
        tradeoff: at many false positive rates, rising, all > 0; those in `marked` among them.
        ax: where to draw.
        marked: false positive rates whose ceiling is written down.

    Returns:
        The same `ax`.
    """
    rates, tprs = tradeoff.fprs, tradeoff.tprs
    ceiling = [bound.upper for bound in tprs]
    ax.fill_between(
        rates, [bound.lower for bound in tprs], ceiling, color=SERIES[0], label="certified interval", **_BAND
    )
    ax.plot(rates, ceiling, color=SERIES[0], linewidth=2, label="no attack is above (ceiling)")
    ax.plot(rates, rates, color=SERIES[5], linewidth=1.5, linestyle="--", label="blind guess")
    for rate, bound in zip(rates, tprs, strict=True):
        if rate in marked:
            ax.plot([rate], [bound.upper], marker="o", color=SERIES[1], markersize=6)
            beside = {"xytext": (-7, 6), "textcoords": "offset points", "ha": "right"}
            ax.annotate(upward(bound.upper), (rate, bound.upper), color=SERIES[1], **beside)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(min(rates), 1.0)
    ax.set_ylim(min(rates), 3.0)
    return finished(ax, "false positive rate of a membership attack", "true positive rate")


def budget_curve(
    spent: Sequence[tuple[int, Bound]], ax: Axes, *, budget: float | None = None, delta: float | None = None
) -> Axes:
    """Epsilon after each charge of a ledger, with the line of its budget.

    Args:
        spent: (number of charges, bound in nats), rising; infinite bounds are left out.
        ax: where to draw.
        budget: most that may be spent, nats.
        delta: failure mass of all of it, for the label.

    Returns:
        The same `ax`.
    """
    from matplotlib.ticker import MaxNLocator

    finite = [(charges, bound) for charges, bound in spent if math.isfinite(bound.upper)]
    charges = [place for place, _ in finite]
    upper = [bound.upper for _, bound in finite]
    ax.fill_between(
        charges,
        [bound.lower for _, bound in finite],
        upper,
        step="post",
        color=SERIES[0],
        label="the truth lies here",
        **_BAND,
    )
    ax.step(charges, upper, where="post", color=SERIES[0], linewidth=2, label="spent (upper end)")
    ax.plot(charges[-1:], upper[-1:], marker="o", color=SERIES[0], markersize=6)
    if budget is not None:
        ax.axhline(budget, color=SERIES[1], linewidth=2, linestyle="--", label=f"budget {budget:g}")
    ax.set_ylim(0.0, 1.15 * max([*upper, budget or 0.0], default=1.0) or 1.0)
    ax.set_xlim(0.0, max(charges) * 1.03 or 1.0)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    at = "" if delta is None else f" at delta {delta:g}"
    return finished(ax, "charges in the ledger", f"epsilon{at}")
