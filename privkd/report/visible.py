"""A study whose texts hide nothing: what cannot be seen is written as an escape, before it reaches a page or a terminal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from accountants.check import shown
from privkd.report.study import Study

_SPACE = re.compile(r"[ \t\r\n]+")


def visible(study: Study) -> Study:
    """The same study with every text on one line and without control, bidirectional and other unseen characters.

    Args:
        study: with texts from anywhere: folder names, ledgers, certificates, an earlier report.

    Raises:
        ValueError: a text is too long once its unseen characters are escapes.
    """
    return Study.from_dict(_visible(study.to_dict()))


def _visible(value: Any) -> Any:
    if isinstance(value, str):
        return shown(_SPACE.sub(" ", value))
    if isinstance(value, Mapping):
        return {_visible(name): part if name == "images" else _visible(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_visible(part) for part in value]
    return value
