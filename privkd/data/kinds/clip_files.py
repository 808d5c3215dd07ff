"""Files with clips: folders of archives and of images, and tables that list them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from privkd.data.folders import SUFFIXES
from privkd.data.kinds.frames import ArchiveFrames, Frames, ImageFrames
from privkd.data.kinds.tables import numbers_or_text, read_table
from privkd.data.paths import inside


@dataclass(frozen=True, eq=False)
class Found:
    """Clips as files have them.

    Attributes:
        clips: in order.
        labels: names of classes or numbers, shape (n,); None if there are none.
        videos: name of the video of each clip.
    """

    clips: list[Frames]
    labels: np.ndarray | None
    videos: list[str]


def found_clips(path: Path) -> Found:
    """Clips of a folder or a table, see `Clips.read`.

    Raises:
        ValueError: neither, or a clip that cannot be read; it is named.
    """
    if path.is_dir():
        return _in_folder(path)
    if path.suffix.lower() not in (".csv", ".tsv"):
        raise ValueError(f"{path} is no folder of clips and no table (.csv, .tsv) of them")
    table = read_table(path, ["path"], ["label", "video"])
    paths = [inside(path.parent, name, what=f"{path}: path in row {row}") for row, name in enumerate(table["path"])]
    videos = table.get("video", [one.stem for one in paths])
    labels = numbers_or_text(table["label"]) if "label" in table else None
    return Found([_clip(one) for one in paths], labels, videos)


def _in_folder(folder: Path) -> Found:
    entries = _entries(folder)
    if not entries:
        raise ValueError(f"{folder} has no clips")
    if any(_is_clip(entry) for entry in entries):
        return Found([_clip(entry) for entry in entries], None, [entry.stem for entry in entries])
    clips: list[Path] = []
    labels: list[str] = []
    for entry in entries:
        if not entry.is_dir() or not (inner := _entries(entry)):
            raise ValueError(f"{entry} is neither a clip (.npz, or a folder of images) nor a folder of them")
        clips += inner
        labels += [entry.name] * len(inner)
    return Found([_clip(clip) for clip in clips], np.array(labels), [clip.stem for clip in clips])


def _clip(path: Path) -> Frames:
    if not path.exists():
        raise ValueError(f"{path} is missing")
    if path.is_dir():
        return ImageFrames.of_folder(path)
    if path.suffix.lower() != ".npz":
        raise ValueError(f"{path} is no clip; .npz archives with `frames` and folders of images are read")
    return ArchiveFrames(path)


def _is_clip(path: Path) -> bool:
    """Whether a path is an archive or a folder with an image."""
    if not path.is_dir():
        return path.suffix.lower() == ".npz"
    return any(entry.suffix.lower() in SUFFIXES for entry in path.iterdir())


def _entries(folder: Path) -> list[Path]:
    return sorted((entry for entry in folder.iterdir() if not entry.name.startswith(".")), key=lambda entry: entry.name)
