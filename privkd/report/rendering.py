"""A study as one HTML page: no script, no outside request, every text escaped."""

from __future__ import annotations

import base64
import io
from itertools import groupby
from pathlib import Path
from typing import Any

from privkd.report.study import Release, Result, Samples, Study
from privkd.report.wording import limits_of, protection, upward
from privkd.scopes import percent_up

_TEMPLATE = "report.html.jinja"


def render(study: Study) -> str:
    """The report as HTML text.

    Args:
        study: what to say.

    Returns:
        A complete page; it needs no other file and no network.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(_TEMPLATE)
    return page.render(
        study=study,
        rows=[_row(result) for result in study.results],
        groups=_groups(study),
        curve=_curve(study),
        samples=_sheet(study.samples) if study.samples is not None else None,
        limits=(*study.not_protected, *limits_of(study.releases)),
    )


def _row(result: Result) -> dict[str, Any]:
    shown = protection(result.scope)
    return {
        "result": result,
        "shown": shown,
        "epsilon": upward(result.epsilon) if result.epsilon is not None else "",
        "delta": f"{result.delta:g}" if result.delta is not None else "",
        "percent": f"{100 * result.accuracy:.1f}" if result.accuracy is not None else "",
        "ceiling": percent_up(result.ceiling) if result.ceiling is not None else "",
    }


def _groups(study: Study) -> list[dict[str, Any]]:
    """Cards by what they protect; the order inside a group is the study's."""
    accuracy = {row.name: row.accuracy for row in study.results if row.name}
    cards = sorted((_card(r, accuracy.get(r.name)) for r in study.releases), key=lambda card: card["shown"].rank)
    return [
        {"heading": heading, "cards": list(cards)}
        for heading, cards in groupby(cards, key=lambda card: card["shown"].group)
    ]


def _card(release: Release, accuracy: float | None) -> dict[str, Any]:
    claim = release.certificate or {}
    composed = claim.get("teacher_epsilon")
    return {
        "release": release,
        "claim": claim,
        "shown": protection(release.scope),
        "epsilon": upward(claim["epsilon"]) if claim else "",
        "delta": f"{claim['delta']:g}" if claim else "",
        "composed": upward(composed) if composed is not None else "",
        "percent": f"{100 * accuracy:.1f}" if accuracy is not None else "",
    }


def _curve(study: Study) -> str:
    """The accuracy curve as inline SVG in the colours of the page; empty if there is nothing to draw."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    from privkd.report.figures import SERIES, accuracy_curve, plotted

    if not plotted(study.results):
        return ""
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "privkd", "font.size": 11}):
        figure = Figure(figsize=(7.5, 4.6))
        accuracy_curve(study.results, figure.add_subplot())
        text = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(text, format="svg", transparent=True, bbox_inches="tight", metadata=nothing)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].replace("#000000", "currentColor").replace("stroke: #b0b0b0", "stroke: currentColor")
    for position, colour in enumerate(SERIES):
        svg = svg.replace(colour, f"var(--series-{position})")
    return svg


def _sheet(samples: Samples) -> dict[str, Any]:
    """The sample images as one PNG data URI."""
    from matplotlib.image import imsave

    from privkd.report.figures import mosaic

    content = io.BytesIO()
    sheet = mosaic(samples)
    imsave(content, sheet, format="png", metadata={"Software": "privkd"})
    return {
        "uri": "data:image/png;base64," + base64.b64encode(content.getvalue()).decode("ascii"),
        "caption": samples.caption,
        "count": len(samples.images),
        "width": sheet.shape[1],
        "height": sheet.shape[0],
    }
