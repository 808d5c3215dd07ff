"""Folders of tracking data sets, by what lies in them: OTB and MMOT, GOT-10k, LaSOT and Anti-UAV."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from privkd.data.folders import SUFFIXES
from privkd.data.kinds.frames import ImageFrames
from privkd.data.kinds.sequence import Modality, Sequence, SequenceError
from privkd.data.kinds.sequence_numbers import flags_of, rows_of, text_of, whole_numbers_of
from privkd.errors import CheckpointError
from privkd.storage import read_json

_FRAMES = ("img", "imgs", "infrared", "IR")  # sub-folders, else the folder itself
_ANTI_UAV = "IR_label.json"
_LANGUAGE = ("language", "nlp")


@dataclass(frozen=True)
class FolderOptions:
    """How the files of a data set are meant.

    Attributes:
        first_pixel: what the files call the coordinate of the first pixel: 0, or 1 as in OTB; it is subtracted from x and y.
        starts_empty: see `Sequence`.
        modality: see `Sequence`; None: "tir" for Anti-UAV, else "rgb".
        fps: frames per second.
        attribute_names: names of the numbers in `attributes.txt`; None: their positions, "0", "1", ...
    """

    first_pixel: int = 0
    starts_empty: bool = False
    modality: Modality | None = None
    fps: float = 30.0
    attribute_names: tuple[str, ...] | None = None


def sequences_in(root: Path, options: FolderOptions) -> Iterator[Sequence]:
    """All sequences at most two folders deep, in the order of names; no frame is decoded.

    Raises:
        SequenceError: one of them cannot be used.
        ValueError: there is none.
    """
    found = list(_sequence_folders(root, depth=2))
    if not found:
        raise ValueError(
            f"{root} has no sequences: folders with groundtruth_rect.txt or groundtruth.txt, or {_ANTI_UAV}, and frames"
        )
    for folder in found:
        if (folder / _ANTI_UAV).exists():
            yield _anti_uav(folder, options)
            continue
        for truth, suffix in _truths(folder):
            yield _text_style(folder, truth, suffix, options)


def _sequence_folders(folder: Path, depth: int) -> Iterator[Path]:
    if (folder / _ANTI_UAV).exists() or _truths(folder):
        yield folder
    elif depth:
        inner = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
        for entry in inner:
            yield from _sequence_folders(entry, depth - 1)


def _truths(folder: Path) -> list[tuple[Path, str]]:
    """Files of boxes and what stands before their ending: ".1" and ".2" where a video has two targets."""
    for stem in ("groundtruth_rect", "groundtruth"):
        found = [folder / f"{stem}.txt", *sorted(folder.glob(f"{stem}.[0-9].txt"))]
        if present := [path for path in found if path.exists()]:
            return [(path, path.name.removeprefix(stem).removesuffix(".txt")) for path in present]
    return []


def _text_style(folder: Path, truth: Path, suffix: str, options: FolderOptions) -> Sequence:
    name = f"{folder.resolve().name}{suffix}"
    frames = _frames(folder, name)
    boxes = rows_of(truth, 4, sequence=name)
    absent = _absent(folder, suffix, len(boxes), name)
    empty = (boxes == 0).all(axis=1)
    boxes[:, :2] -= np.where(empty, 0, options.first_pixel)[:, None]
    language = next((path for stem in _LANGUAGE if (path := folder / f"{stem}{suffix}.txt").exists()), None)
    return Sequence(
        name,
        frames,
        boxes,
        ~empty if absent is None else ~absent,
        None if language is None else text_of(language, sequence=name).strip(),
        _attributes(folder, options, name),
        _optional_rows(folder / "scenario.txt", 7, name),
        _column(_optional_rows(folder / "relative_speed.txt", 1, name)),
        None,
        options.modality or "rgb",
        options.fps,
        options.starts_empty,
    )


def _absent(folder: Path, suffix: str, frames: int, name: str) -> np.ndarray | None:
    """Where the target is absent: `absent.txt`, `absence.label` (GOT-10k), or out of view or fully hidden (LaSOT)."""
    for file in (f"absent{suffix}.txt", "absence.label"):
        if (folder / file).exists():
            return flags_of(folder / file, frames, sequence=name)
    lasot = [folder / file for file in ("full_occlusion.txt", "out_of_view.txt") if (folder / file).exists()]
    flags = [flags_of(path, frames, sequence=name) for path in lasot]
    return np.any(flags, axis=0) if flags else None


def _attributes(folder: Path, options: FolderOptions, name: str) -> dict[str, int]:
    path = folder / "attributes.txt"
    if not path.exists():
        return {}
    numbers = whole_numbers_of(path, sequence=name)
    names = options.attribute_names or tuple(map(str, range(len(numbers))))
    if len(names) != len(numbers):
        raise SequenceError(name, f"attributes.txt has {len(numbers)} numbers, but attribute_names {len(names)} names")
    return dict(zip(names, numbers, strict=True))


def _optional_rows(path: Path, columns: int, name: str) -> np.ndarray | None:
    return rows_of(path, columns, sequence=name) if path.exists() else None


def _column(rows: np.ndarray | None) -> np.ndarray | None:
    return None if rows is None else rows[:, 0]


def _frames(folder: Path, name: str) -> ImageFrames:
    """The frames of a sequence: all images in `img`, `imgs`, ..., or those in the folder itself, beside other files."""
    inner = [folder / entry for entry in _FRAMES if (folder / entry).is_dir()]
    if len(inner) > 1:
        raise SequenceError(name, f"there are frames in both {inner[0].name}/ and {inner[1].name}/; keep one of them")
    try:
        if inner:
            return ImageFrames.of_folder(inner[0])
        return ImageFrames.of_files(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    except ValueError as error:
        raise SequenceError(name, f"{error}; a video file has to be taken apart into images first") from None


def _anti_uav(folder: Path, options: FolderOptions) -> Sequence:
    name = folder.resolve().name
    frames = _frames(folder, name)
    try:
        label = read_json(folder / _ANTI_UAV, dict)
    except (CheckpointError, OSError) as error:
        raise SequenceError(name, str(error)) from None
    exist, boxes = label.get("exist"), label.get("gt_rect")
    if not isinstance(exist, list) or not isinstance(boxes, list) or len(exist) != len(boxes):
        raise SequenceError(name, f"{_ANTI_UAV} must have the lists exist and gt_rect, of one length")
    visible = np.zeros(len(exist), dtype=bool)
    rows = np.zeros((len(exist), 4))
    for frame, (flag, box) in enumerate(zip(exist, boxes, strict=True)):
        if type(flag) is not int or flag not in (0, 1):
            raise SequenceError(name, f"{_ANTI_UAV}: exist must hold 0 and 1", frame=frame)
        visible[frame] = flag
        rows[frame] = _anti_uav_box(box, name, frame)
    rows[:, :2] -= np.where((rows == 0).all(axis=1), 0, options.first_pixel)[:, None]
    modality = options.modality or "tir"
    return Sequence(name, frames, rows, visible, modality=modality, fps=options.fps, starts_empty=options.starts_empty)


def _anti_uav_box(box: Any, name: str, frame: int) -> list[float]:
    """A box, or zeros where there is none, which is [] or [0]."""
    numbers = isinstance(box, list) and all(
        isinstance(number, int | float) and not isinstance(number, bool) for number in box
    )
    if not numbers or (len(box) != 4 and box not in ([], [0])):
        raise SequenceError(name, f"{_ANTI_UAV}: gt_rect must hold lists of 4 numbers, or []", frame=frame)
    return [float(number) for number in box] if len(box) == 4 else [0.0] * 4
