"""The conclusion of a report: what is proven and for whom, and which student to take. Decided from proven releases only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from privkd.report.study import Release, Study
from privkd.report.wording import protection

_HARDLY = 0.95  # of right answers on even odds: a proven number that protects hardly anybody
_FEW = 2  # students that a line names
_HEADLINES = {
    "record": "Proven for the training data",
    "label": "Proven for training labels, not for whole records",
    "answer": "Not proven for anybody in the training data",
    "none": "Nothing here is proven",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence of the verdict, and the style of the guarantee that it is about."""

    style: str
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a reader takes away.

    Attributes:
        style: of the strongest guarantee that is proven: "record", "label", "answer" or "none".
        headline: a few words.
        lines: who is protected in how many students, strongest first.
        recommended: the student to take; None where nothing is proven.
        reasons: why this one, one sentence each.
    """

    style: str
    headline: str
    lines: tuple[Line, ...]
    recommended: Release | None
    reasons: tuple[str, ...]


def verdict_of(study: Study) -> Verdict:
    """The conclusion.

    The strongest class of guarantee decides first: for training records, persons or the whole teacher, before labels
    only, before single answers. Inside it, the highest accuracy among students whose epsilon is at most the wanted one;
    if there is none, the smallest epsilon. Accuracies are the author's figures and decide nothing else.

    Args:
        study: with releases that were verified.
    """
    sound = [release for release in study.releases if not release.problem and not release.void]
    if not sound:
        return Verdict("none", _HEADLINES["none"], _lines(study), None, ())
    first = min(protection(release.scope).rank for release in sound)
    strongest = [release for release in sound if protection(release.scope).rank == first]
    style = protection(strongest[0].scope).style
    chosen, reasons = _chosen(strongest, study)
    headline = _HEADLINES[style]
    if chosen.attack is not None and chosen.attack.even_odds >= _HARDLY:
        headline = "Proven, but far too weak to protect anybody"
    elif style == "record" and len(strongest) < len(study.releases):
        headline = f"{headline} in {len(strongest)} of {len(study.releases)} students"
    return Verdict(style, headline, _lines(study), chosen, reasons)


def accuracy_of(release: Release, study: Study) -> float | None:
    """The author's figure for a release, or None."""
    return next((row.accuracy for row in study.results if row.name == release.name), None)


def _chosen(strongest: Sequence[Release], study: Study) -> tuple[Release, tuple[str, ...]]:
    """The release to take and the reasons, from releases of one class."""
    if len(strongest) == 1:
        return strongest[0], ("No other student here has as strong a guarantee.",) if len(study.releases) > 1 else ()
    limit = f"{study.wanted_epsilon:g}"
    allowed = [release for release in strongest if _epsilon(release) <= study.wanted_epsilon]
    if not allowed:
        chosen = min(strongest, key=lambda release: (_epsilon(release), -(accuracy_of(release, study) or 0.0)))
        why = f"No student has an ε of at most {limit}, the limit of this report; this one has the smallest."
        return chosen, (why, *_about_changes(strongest))
    known = [release for release in allowed if accuracy_of(release, study) is not None]
    if not known:
        chosen = min(allowed, key=_epsilon)
        why = "No accuracy was recorded, so the smallest ε decides."
        return chosen, (why, *_about_changes(allowed))
    ranked = sorted(known, key=lambda release: (-(accuracy_of(release, study) or 0.0), _epsilon(release)))
    best = f"{100 * (accuracy_of(ranked[0], study) or 0.0):.1f} %"
    why = [f"It has the highest accuracy ({best}) of the {len(allowed)} students with such a guarantee at ε ≤ {limit}."]
    if len(known) == 1:
        why = [f"It is the only one with a known accuracy ({best}) and such a guarantee at ε ≤ {limit}."]
    others = [release for release in ranked[1:] if release.method != ranked[0].method]
    if others:
        second = 100 * (accuracy_of(others[0], study) or 0.0)
        why.append(f"The best that was made in another way, {others[0].name}, has {second:.1f} %.")
    return ranked[0], (*why, *_about_changes(allowed))


def _about_changes(releases: Sequence[Release]) -> tuple[str, ...]:
    changes = sorted({str((release.certificate or {}).get("adjacency")) for release in releases})
    if len(changes) < 2:
        return ()
    return (f"Their ε are about different changes of the data ({', '.join(changes)}): compare the attacks, not the ε.",)


def _epsilon(release: Release) -> float:
    return float((release.certificate or {}).get("epsilon", "inf"))


def _lines(study: Study) -> tuple[Line, ...]:
    """Who is protected, by how many students: strongest first, and what has no guarantee last."""
    kinds: dict[tuple[int, str, str], list[str]] = {}
    for release in study.releases:
        shown = protection("none" if release.void else release.scope)
        kinds.setdefault((shown.rank, shown.style, shown.promise), []).append(release.name)
    return tuple(Line(style, _whose(names, len(study.releases)) + promise + ".")
                 for (_, style, promise), names in sorted(kinds.items(), key=lambda kind: kind[0][0]))  # fmt: skip


def _whose(names: Sequence[str], everything: int) -> str:
    """The subject of a line: nothing for the only student, names of a few, the number of many."""
    if everything == 1:
        return "Here "
    if len(names) <= _FEW:
        return f"In {', '.join(names)} "
    return f"In {len(names)} of {everything} students "
