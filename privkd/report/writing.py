"""The two files of a report: `report.json` is the truth, `report.html` shows it; each is whole or absent."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from privkd.report.rendering import render
from privkd.report.rows import proven_rows
from privkd.report.study import Study
from privkd.report.visible import visible
from privkd.storage import write_json, write_text

MAX_JSON = 64 * 2**20  # bytes: pictures of synthetic inputs take room
JSON_NAME, HTML_NAME = "report.json", "report.html"


def write_report(directory: str | os.PathLike[str], study: Study) -> Path:
    """Write `report.json` and `report.html`, replacing earlier ones.

    Privacy numbers in the rows of results are those of the study's releases, texts are written without unseen characters.

    Args:
        directory: where; made if it is not there.
        study: what to say.

    Returns:
        The HTML file: one page without any outside request, to be opened, mailed or printed.

    Raises:
        CheckpointError: another process has been writing in the folder for a minute.
        OSError: the folder cannot be written.
    """
    folder = Path(directory)
    study = visible(replace(study, results=proven_rows(study.results, study.releases)))
    page = render(study)  # before the first write: a failure changes no file
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / JSON_NAME, study.to_dict(), at_most=MAX_JSON)
    write_text(folder / HTML_NAME, page)
    return folder / HTML_NAME
