"""The command line that the benchmark scripts of all families share: run cases over seeds, print their table, write it into pages.

A case is a function from a seed to figures by variant, for example `{"skd": {"cross-view": 0.90}, "labels only": {...}}`. Every
outcome is one line of JSON with what it took and where it ran; a case that is there already is not run again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

sys.path.append(
    str(Path(__file__).parents[1])
)  # behind the installed packages: a file there has the name of one of them

import torch
from recording import Case, append_record, measured, read_records, summary

Figures = Mapping[str, Mapping[str, float]]
ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- figures: begin, written by {script} -->", "<!-- figures: end -->"


def main(cases: Mapping[str, Callable[[int], Figures]], *, script: str, about: str) -> None:
    """Run the cases that are missing, print their tables, and write them into the pages if asked to.

    Args:
        cases: by name of the system.
        script: path of the calling script, as the pages name it.
        about: what the script does, for its help.
    """
    options = _options(cases, about)
    torch.set_num_threads(options.threads)
    chosen = options.system or sorted(cases)
    for name in chosen:
        for seed in range(options.seeds):
            case = Case(name, None, seed)
            if not any(case.is_in(record) for record in read_records(options.out)):
                append_record(options.out, measured(case, lambda: {"figures": _plain(cases[name](seed))}))  # noqa: B023
                print(f"{name}, seed {seed}: done", file=sys.stderr, flush=True)
        table = table_of(name, read_records(options.out))
        print(f"\n{name}\n\n{table}")
        if options.pages:
            write_into(ROOT / "docs" / "systems" / f"{name}.md", table, script)


def table_of(name: str, records: list[dict[str, Any]]) -> str:
    """Mean and 95 % half width over seeds of every figure, one line per variant, as Markdown."""
    found = [record for record in records if record["method"] == name]
    variants = list(dict.fromkeys(variant for record in found for variant in record["figures"]))
    figures = list(dict.fromkeys(f for record in found for values in record["figures"].values() for f in values))
    lines = ["| | " + " | ".join(figures) + " |", "|---" * (len(figures) + 1) + "|"]
    for variant in variants:
        cells = [
            summary([r["figures"][variant][f] for r in found if f in r["figures"].get(variant, {})]) for f in figures
        ]
        lines.append(f"| {variant} | " + " | ".join(cells) + " |")
    seconds = summary([record["cpu_seconds"] for record in found])
    commits = ", ".join(sorted({record["environment"]["commit"][:10] for record in found}))
    lines.append(f"\n{len(found)} seeds, {seconds} CPU seconds each, commit {commits}.")
    return "\n".join(lines)


def write_into(page: Path, table: str, script: str) -> None:
    """Put a table between the marks of a page."""
    text = page.read_text(encoding="utf-8")
    begin = BEGIN.format(script=script)
    if text.count(begin) != 1 or text.count(END) != 1:
        raise ValueError(f"{page} needs the two lines {begin!r} and {END!r}, each once")
    before, rest = text.split(begin)
    page.write_text(f"{before}{begin}\n\n{table}\n\n{END}{rest.split(END)[1]}", encoding="utf-8")


def _options(cases: Mapping[str, object], about: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--out", type=Path, default=Path("results/systems.jsonl"), help="JSON lines, added to")
    parser.add_argument("--system", action="append", choices=sorted(cases), help="default: all of the family")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pages", action="store_true", help="write the tables into docs/systems/NAME.md")
    return parser.parse_args()


def _plain(figures: Figures) -> dict[str, dict[str, float]]:
    return json.loads(json.dumps(figures, default=float))
