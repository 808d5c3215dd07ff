"""Success, precision and speed of trackers, against a box that never moves and their ablations, on sprites and real sequences.

Usage:  python benchmarks/systems/tracking.py --seeds 3 --pages
Takes:  about four minutes on one core.   Needs: shared/data/tracking for the figures on real sequences, else made-up ones only.
Writes: one JSON line per system and seed, and the table of its page.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from cases import ROOT, main

from privkd.data import Sequences
from privkd.data.procedural import moving_sprites
from privkd.recipes import build, train
from privkd.tracking import StaticBox, benchmark, track_all

REAL = Path(os.environ.get("PRIVKD_SHARED", ROOT / "shared")) / "data/tracking"
SCENES = ("plain", "small", "uav", "camo")
ABLATIONS = {"no update": ["rate=0"], "no window": ["window=0"], "plain window": ["window=1"]}


def videos(seed: int) -> Iterator[tuple[str, Sequences]]:
    """Eight videos of each scene by its name, and with the first seed the real ones, in which nothing is random."""
    for scene in SCENES:
        yield scene, moving_sprites(8, scene, seed=seed)
    if seed == 0 and REAL.is_dir():
        yield "real", Sequences.read(REAL, first_pixel=1)


def correlation_filter(seed: int) -> Mapping[str, Mapping[str, float]]:
    """The recipe, a box that never moves, and on the plain scene and the real sequences the recipe without one of its parts."""
    found = {}
    for scene, data in videos(seed):
        static = benchmark(track_all(StaticBox, data), data).mean
        found[f"correlation-filter, {scene}"] = figures([], data)
        found[f"a box that never moves, {scene}"] = {"auc": static.auc, "precision": static.precision_20}
        if scene in ("plain", "real"):
            found |= {f"{name}, {scene}": figures(settings, data) for name, settings in ABLATIONS.items()}
    return found


def figures(settings: list[str], data: Sequences) -> dict[str, float]:
    """Those of the recipe with some settings."""
    all_of_them = train(build("correlation-filter", settings), data).evaluate(data)
    names = {"success_auc": "auc", "precision_20": "precision", "frames_per_second": "frames per second"}
    return {short: all_of_them[name] for name, short in names.items()}


if __name__ == "__main__":
    main({"correlation-filter": correlation_filter}, script="benchmarks/systems/tracking.py", about=__doc__ or "")
