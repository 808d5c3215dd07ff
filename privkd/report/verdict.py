"""The conclusion of a report: what is proven and for whom, and which student to take. Decided from proven releases only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from privkd.report.study import Release, Study
from privkd.report.wording import RUN, protection

_HARDLY = 0.95  # of right answers on even odds: a proven number that protects hardly anybody
_FEW = 2  # students that a line names
_HEADLINES = {
    "record": "Proven for the training data",
    "label": "Proven for training labels, not for whole records",
    "answer": "Not proven for anybody in the training data",
    "none": "Nothing is proven",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence of the verdict, and the style of the guarantee that it is about."""

    style: str
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The conclusion that a reader takes away.

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
    """The conclusion of a study.

    The strongest class of guarantee decides first: for training records, persons or the whole teacher, before labels
    only, before single answers; proven before declared, released before not. Inside it, the highest accuracy among students
    whose epsilon is at most the wanted one; if there is none, the smallest epsilon. Accuracies are the author's figures and
    decide nothing else.

    Args:
        study: with releases that were verified.
    """
    sound = [release for release in study.releases if not release.problem and not release.void]
    broken, everything = len(study.releases) - len(sound), len(study.releases)
    if not sound:
        headline = _HEADLINES["none"] if not broken else _warning(broken, everything)
        return Verdict("none", headline, _lines(study), None, ())
    first = min(map(_class, sound))
    strongest = [release for release in sound if _class(release) == first]
    chosen, reasons = _chosen(strongest, study)
    style = protection(chosen.scope).style
    protecting = [release for release in sound if protection(release.scope).style == style]
    if broken:
        return Verdict("none", _warning(broken, everything), _lines(study), chosen, reasons)
    headline = _HEADLINES[style]
    if style == "record" and chosen.is_declared:
        style, headline = "label", "Declared by somebody else, not proven here"
    elif chosen.method == RUN:
        style, headline = "label", "Proven for a run that has released no student here"
    elif chosen.attack is not None and chosen.attack.even_odds >= _HARDLY:
        style, headline = "answer", "Proven, but far too weak to protect anybody"
    elif style == "record" and len(protecting) < everything:
        headline = f"{headline} in {len(protecting)} of {everything} students"
    return Verdict(style, headline, _lines(study), chosen, reasons)


def _class(release: Release) -> tuple[int, bool, bool]:
    return protection(release.scope).rank, release.is_declared, release.method == RUN


def _warning(broken: int, everything: int) -> str:
    if everything == 1:
        return "Do not rely on this student"
    return f"Do not rely on {broken} of {everything} students"


def accuracy_of(release: Release, study: Study) -> float | None:
    """The author's figure for a release, or None."""
    return next((row.accuracy for row in study.results if row.name == release.name), None)


def _chosen(strongest: Sequence[Release], study: Study) -> tuple[Release, tuple[str, ...]]:
    """The release to take and the reasons, from releases of one class."""
    if len(strongest) == 1:
        return strongest[0], ("No other student here has as strong a guarantee.",) if len(study.releases) > 1 else ()
    limit = f"{study.wanted_epsilon:g}"
    allowed = [release for release in strongest if _epsilon(release) <= study.wanted_epsilon]
    known = [release for release in allowed if accuracy_of(release, study) is not None]
    if not allowed:
        why = f"No student has an ε of at most {limit}, the limit of this report; this one has the smallest."
        return min(strongest, key=lambda release: (_epsilon(release), -_share(release, study))), (
            why,
            *_about_changes(strongest),
        )
    if not known:
        why = "No accuracy was recorded, so the smallest ε decides."
        return min(allowed, key=_epsilon), (why, *_about_changes(allowed))
    best, *others = sorted(known, key=lambda release: (-_share(release, study), _epsilon(release)))
    share = f"{100 * _share(best, study):.1f} %"
    why = [
        f"It has the highest accuracy ({share}) of the {len(allowed)} students with such a guarantee at ε ≤ {limit}."
    ]
    if len(allowed) == 1:
        why = [f"It is the only student with such a guarantee at ε ≤ {limit}."]
    second = next((other for other in others if other.method != best.method), None)
    if second is not None:
        why.append(f"The best that was made in another way, {second.name}, has {100 * _share(second, study):.1f} %.")
    return best, (*why, *_about_changes(allowed))


def _share(release: Release, study: Study) -> float:
    return accuracy_of(release, study) or 0.0


def _about_changes(releases: Sequence[Release]) -> tuple[str, ...]:
    changes = sorted({str((release.certificate or {}).get("adjacency")) for release in releases})
    if len(changes) < 2:
        return ()
    return (f"Their ε are about different changes of the data ({', '.join(changes)}): compare the attacks, not the ε.",)


def _epsilon(release: Release) -> float:
    return float((release.certificate or {}).get("epsilon", "inf"))


def _lines(study: Study) -> tuple[Line, ...]:
    """Who is protected, by how many students: strongest first, and what has no guarantee last."""
    kinds: dict[tuple[int, bool, str, str], list[str]] = {}
    for release in study.releases:
        words = protection("none" if release.void else release.scope)
        promise = f"{words.promise}, as declared by somebody else" if release.is_declared else words.promise
        style = "label" if release.is_declared and words.style == "record" else words.style
        kinds.setdefault((words.rank, release.is_declared, style, promise), []).append(release.name)
    return tuple(
        Line(style, f"{_whose(names, len(study.releases))}{promise}.")
        for (_, _, style, promise), names in sorted(kinds.items())
    )


def _whose(names: Sequence[str], everything: int) -> str:
    """The subject of a line: nothing for the only student, names of a few, the number of many."""
    if everything == 1:
        return "Here "
    if len(names) <= _FEW:
        return f"In {', '.join(names)} "
    return f"In {len(names)} of {everything} students "
