"""The two files of a report: `report.json` is the truth, `report.html` shows it; each is whole or absent."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from privkd.report.rendering import render
from privkd.report.study import Study
from privkd.report.visible import visible

JSON_NAME, HTML_NAME = "report.json", "report.html"


def write_report(directory: str | os.PathLike[str], study: Study) -> Path:
    """Write `report.json` and `report.html`, replacing earlier ones.

    Args:
        directory: where; made if it is not there.
        study: what to say.

    Returns:
        The HTML file: one page without any outside request, to be opened, mailed or printed.

    Raises:
        OSError: the folder cannot be written.
    """
    folder = Path(directory)
    study = visible(study)
    page = render(study)  # before the first write: a failure changes no file
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / JSON_NAME, json.dumps(study.to_dict(), indent=1, allow_nan=False) + "\n")
    _replace(folder / HTML_NAME, page)
    return folder / HTML_NAME


def _replace(path: Path, text: str) -> None:
    """Write a file so that readers see the old content or the new one, never a mixture."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with draft.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
