"""Rows of the table of results: their privacy numbers are those of verified releases, whatever a file or a caller wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from privkd.certificates.scopes import Scope
from privkd.report.study import Release, Result
from privkd.report.wording import method_in_words

_UNPROVEN = "no release in this folder proves a guarantee"


def proven_rows(rows: Sequence[Result], releases: Sequence[Release]) -> tuple[Result, ...]:
    """The rows with verified privacy numbers, and a row for every release that has none.

    A row whose release is missing, false or void keeps its words and its accuracy, and loses every claim.

    Args:
        rows: as recorded.
        releases: verified.
    """
    by_name = {release.name: release for release in releases}
    rowless = [release for release in releases if release.name not in {row.name for row in rows}]
    added = [Result(name=release.name, method=method_in_words(release.method)) for release in rowless]
    return tuple(_proven(row, by_name.get(row.name)) for row in (*rows, *added))


def _proven(row: Result, release: Release | None) -> Result:
    if release is None and row.scope == Scope.NONE and row.epsilon is None and row.ceiling is None:
        return row
    if release is None or release.problem or release.void or release.certificate is None:
        note = row.note if row.note.startswith(_UNPROVEN) else f"{_UNPROVEN} for this row. {row.note}".strip()
        return replace(row, scope=Scope.NONE.value, epsilon=None, delta=None, ceiling=None, note=note)
    claim = release.certificate
    scope, delta = str(claim["scope"]), float(claim["delta"])
    return replace(row, scope=scope, epsilon=float(claim["epsilon"]), delta=delta, ceiling=release.ceiling)
