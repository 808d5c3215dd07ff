"""A study as one HTML page: no script, no outside request, every text escaped; the conclusion first, the rest folded."""

from __future__ import annotations

import base64
import io
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from privkd.certificates.scopes import percent_up
from privkd.report.attacks import in_short, in_words
from privkd.report.rows import proven_rows
from privkd.report.study import Release, Result, Samples, Study
from privkd.report.verdict import accuracy_of, verdict_of
from privkd.report.visible import visible
from privkd.report.wording import RUN, change_in_words, limits_of, method_in_words, protection, upward

_TEMPLATE = "report.html.jinja"
_FONT = 12.5  # points of a picture that is shown one to one: readable at every width of the page
_POINTS = 72.0  # of an inch; on the page a point is a pixel
_LEFT, _RIGHT, _BOTTOM, _TOP = 66.0, 14.52, 60.0, 10.0  # points around the axes, for the ticks and their labels
_SIZES = {"wide": (10.0, 4.3), "narrow": (4.7, 4.6)}  # inches of 72 pixels
_FEWEST_POINTS = 2  # of a curve worth drawing


def render(study: Study) -> str:
    """The report as HTML text.

    Args:
        study: what to say.

    Returns:
        A complete page; it needs no other file and no network.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    study = visible(replace(study, results=proven_rows(study.results, study.releases)))
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(_TEMPLATE)
    verdict = verdict_of(study)
    shared = _shared_conditions(study)
    cards = sorted((_card(release, study, shared) for release in study.releases), key=lambda card: card["shown"].rank)
    return page.render(
        study=study,
        verdict=verdict,
        best=next((card for card in cards if card["release"] is verdict.recommended), None),
        cards=cards,
        shared=shared,
        rows=[_row(result) for result in study.results],
        curves={name: _curve(study, name) for name in _SIZES},
        samples=_sheet(study.samples) if study.samples is not None else None,
        limits=[limit.partition(". ") for limit in limits_of(study.releases)],
    )


def _row(result: Result) -> dict[str, Any]:
    return {
        "result": result,
        "shown": protection(result.scope),
        "epsilon": upward(result.epsilon) if result.epsilon is not None else "",
        "delta": f"{result.delta:g}" if result.delta is not None else "",
        "percent": f"{100 * result.accuracy:.1f}" if result.accuracy is not None else "",
        "ceiling": percent_up(result.ceiling) if result.ceiling is not None else "",
    }


def _shared_conditions(study: Study) -> list[str]:
    """Conditions of several students, said once; in the order in which they first appear."""
    counts = Counter(text for release in study.releases for text in _conditions(release))
    return [text for text, count in counts.items() if count > 1]


def _conditions(release: Release) -> list[str]:
    return [] if release.problem or release.void else list((release.certificate or {}).get("conditions", ()))


def _card(release: Release, study: Study, shared: list[str]) -> dict[str, Any]:
    claim = release.certificate or {}
    accuracy, composed = accuracy_of(release, study), claim.get("teacher_epsilon")
    conditions = _conditions(release)
    attack, words = release.attack, protection("none" if release.void else release.scope)
    return {
        "release": release,
        "name": release.name if release.name != "." else "This run" if release.method == RUN else "This student",
        "made": method_in_words(release.method),
        "claim": claim,
        "shown": words,
        "style": "label" if release.is_declared else words.style,
        "epsilon": upward(claim["epsilon"]) if claim else "",
        "delta": f"{claim['delta']:g}" if claim else "",
        "change": change_in_words(claim["adjacency"]) if claim else "",
        "composed": upward(composed) if composed is not None else "",
        "percent": f"{100 * accuracy:.1f}" if accuracy is not None else "",
        "conditions": conditions,
        "numbers": sorted(shared.index(text) + 1 for text in conditions if text in shared),
        "own": [text for text in conditions if text not in shared],
        "attack": in_words(attack, release.scope, claim["adjacency"], claim["records"]) if attack else None,
        "in_short": in_short(attack) if attack else "",
        "even_odds": percent_up(attack.even_odds) if attack else "",
        "ceiling": percent_up(release.ceiling) if release.ceiling is not None else "",
    }


def _curve(study: Study, name: str) -> str:
    """The accuracy curve as inline SVG in the colours of the page; empty if there is nothing to compare."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    from privkd.report.figures import SERIES, accuracy_curve, plotted

    if len(plotted(study.results)) < _FEWEST_POINTS:
        return ""
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": f"privkd {name}", "font.size": _FONT}):
        figure = Figure(figsize=_SIZES[name])
        width, height = (_POINTS * side for side in _SIZES[name])
        left, right, bottom, top = _LEFT / width, 1.0 - _RIGHT / width, _BOTTOM / height, 1.0 - _TOP / height
        ax = figure.add_axes((left, bottom, right - left, top - bottom))
        accuracy_curve(study.results, ax)
        text = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(text, format="svg", transparent=True, metadata=nothing)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].replace("#000000", "currentColor").replace("stroke: #b0b0b0", "stroke: currentColor")
    svg = re.sub(r'(width|height)="([0-9.]+)pt"', r'\1="\2px"', svg, count=2)
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
