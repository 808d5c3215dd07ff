"""`Clips`: short pieces of video with a class each, read when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from privkd.data.kinds.class_labels import Names, label_column
from privkd.data.kinds.clip_files import found_clips
from privkd.data.kinds.clip_views import FaceCrop, RandomStart, UniformFrames
from privkd.data.kinds.column_checks import class_name_problems, label_problems, refuse, require_name, require_tensors
from privkd.data.kinds.frames import FRAMES, Frames, TensorFrames, as_frames
from privkd.data.kinds.kind import Index, Kind, Path_, class_count, kept_names
from privkd.data.kinds.stored import is_saved, load_folder, save_folder, write_tensors
from privkd.data.row_index import row_index

SCHEMA = "privkd.clips/1"
_FOLDER = "clips"


@dataclass(frozen=True, eq=False, repr=False)
class Clips(Kind, Dataset[dict[str, Any]]):
    """Clips, of which one batch is in memory at a time.

    Attributes:
        clips: frames of each clip; they may differ in number and size. Arrays (t, height, width, channels) are taken, too.
        labels: class of each clip, int64, shape (n,), >= 0; None if not known.
        videos: which video each clip is from; clips of one video must not be in two parts.
        name: what the data are called in reports.
        class_names: distinct names by class index; None if not known. Declares the number of classes.
        sampling: which frames are read; None: all. A setting of a run, not saved.
        crop: which part of them; None: all of it. Likewise.

    Raises:
        TypeError: a field has another type or dtype.
        ValueError: lengths differ, or there is no clip; every problem is listed, with the position of its first row.

    Example:
        >>> data = Clips([np.zeros((6, 8, 8, 3), np.uint8)] * 2, torch.tensor([0, 1]), ("a", "b"), "toy")
        >>> batch = Clips.collate([data.sampled(UniformFrames(3))[0]])
        >>> data, batch["clip"].shape, batch["video"]
        (Clips(name='toy', n=2, videos=2, labelled), torch.Size([1, 3, 3, 8, 8]), ['a'])
    """

    clips: Sequence[Frames | np.ndarray]
    labels: Tensor | None
    videos: tuple[str, ...]
    name: str
    class_names: tuple[str, ...] | None = None
    sampling: UniformFrames | RandomStart | None = None
    crop: FaceCrop | None = None

    def __post_init__(self) -> None:
        require_tensors(torch.int64, labels=self.labels)
        require_name(self.name)
        rows = len(self.clips)
        problems = [] if rows else ["there are no clips; at least one is needed"]
        if len(self.videos) != rows or not all(isinstance(video, str) for video in self.videos):
            problems.append(
                f"videos has {len(self.videos)} names for {rows} clips; each clip needs that of its video, a str"
            )
        problems += class_name_problems(self.class_names)
        if self.labels is not None:
            problems += label_problems(self.labels, self.class_names, rows=rows)
        frames = []
        for row, clip in enumerate(self.clips):
            try:
                frames.append(as_frames(clip))
            except ValueError as error:
                problems.append(f"clip {row}: {error}")
                break
        refuse(f"clips {self.name!r}", problems)
        object.__setattr__(self, "clips", tuple(frames))
        object.__setattr__(self, "videos", tuple(self.videos))

    def __len__(self) -> int:
        return len(self.clips)

    def __repr__(self) -> str:
        labels = "no labels" if self.labels is None else "labelled"
        return f"Clips(name={self.name!r}, n={len(self)}, videos={len(set(self.videos))}, {labels})"

    @property
    def classes(self) -> int:
        """Number of classes: that of `class_names`, else the largest label + 1."""
        return class_count(self.labels, self.class_names, what=f"clips {self.name!r}")

    def sampled(self, sampling: UniformFrames | RandomStart | None) -> Clips:
        """The same clips, read with another choice of frames."""
        return replace(self, sampling=sampling)

    def cropped(self, crop: FaceCrop | None) -> Clips:
        """The same clips, read with another part of the frames."""
        return replace(self, crop=crop)

    def __getitem__(self, row: int) -> dict[str, Any]:
        """One clip: "clip" float32 in [0, 1], shape (t, channels, height, width), "label" if labelled, and "video", a str.

        Raises:
            ValueError: the clip cannot be read, is too short for the sampling, or has no face; it is named by its row.
        """
        (row,) = row_index([row], n=len(self)).tolist()
        try:
            clip = self._read(as_frames(self.clips[row]))
        except ValueError as error:
            raise ValueError(f"clips {self.name!r}, row {row}: {error}") from None
        label = {} if self.labels is None else {"label": self.labels[row]}
        return {"clip": clip, **label, "video": self.videos[row]}

    @staticmethod
    def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
        """A batch: "clip" (b, t, channels, height, width), "label" (b,) if labelled, and "video" as a list of `str`.

        Raises:
            ValueError: clips differ in shape.
        """
        shapes = sorted({tuple(row["clip"].shape) for row in rows})
        if len(shapes) > 1:
            raise ValueError(
                f"clips of one batch have shapes {shapes} (frames, channels, height, width); set sampling= to read one number of "
                "frames, and crop= to resize them"
            )
        stacked = {name: torch.stack([row[name] for row in rows]) for name in rows[0] if name != "video"}
        return {**stacked, "video": [row["video"] for row in rows]}

    def take(self, index: Index) -> Clips:
        rows = row_index(index, n=len(self))
        labels = None if self.labels is None else self.labels[rows]
        names = kept_names(self.labels, self.class_names)
        clips, videos = ([column[row] for row in rows.tolist()] for column in (self.clips, self.videos))
        return Clips(clips, labels, tuple(map(str, videos)), self.name, names, self.sampling, self.crop)

    def groups(self, by: str) -> Tensor:
        """Groups of rows: "video".

        Raises:
            ValueError: another name.
        """
        if by != "video":
            raise ValueError(f"by={by!r} must be 'rows' or 'video'")
        numbers: dict[str, int] = {}
        return torch.tensor([numbers.setdefault(video, len(numbers)) for video in self.videos])

    def save(self, path: Path_) -> None:
        def write_clips(folder: Path) -> None:
            (folder / _FOLDER).mkdir()
            for row, clip in enumerate(self.clips):
                clip = as_frames(clip)
                write_tensors(_clip_file(folder, row), {FRAMES: torch.from_numpy(clip.at(range(len(clip))))})

        values = {"name": self.name, "class_names": self.class_names, "videos": list(self.videos)}
        save_folder(path, SCHEMA, {"labels": self.labels}, values, further=write_clips)

    @classmethod
    def load(cls, path: Path_) -> Clips:
        stored = load_folder(path, SCHEMA, optional=("labels",), values=("name", "class_names", "videos"))
        videos = stored.texts("videos") or ()
        clips = [TensorFrames(_clip_file(Path(path), row)) for row in range(len(videos))]
        return cls(clips, stored.tensors.get("labels"), videos, stored.text("name"), stored.texts("class_names"))

    @classmethod
    def read(cls, source: Path_, *, classes: Names = None) -> Clips:
        """Clips from files; no frame is decoded here.

        Args:
            source: a folder, or one with a sub-folder per class, in which every .npz (with `frames`) and every folder of images is
                a clip; equal names without suffix, also in two classes, are one video. Or a .csv or .tsv with the columns `path`
                (of such clips, relative to the table and inside its folder) and, if any, `label` and `video`; or a folder that
                `save` wrote.
            classes: names of all classes in the order of their indices, which labels that are text need, and sub-folders; see
                `privkd.data.load`.

        Raises:
            ValueError: another kind of source, an unreadable file, or anything that the constructor refuses.
            FileNotFoundError: there is nothing at the path.
        """
        path = Path(source)
        if not path.exists():
            raise FileNotFoundError(f"no file or folder {str(path)!r}")
        if is_saved(path):
            return cls.load(path)
        found = found_clips(path)
        labels, names = (None, None) if found.labels is None else label_column(found.labels, classes)
        return cls(found.clips, labels, tuple(found.videos), path.resolve().stem, names)

    def _read(self, clip: Frames) -> Tensor:
        """One clip as tensors, with its sampling and crop."""
        positions = list(range(len(clip))) if self.sampling is None else self.sampling.positions(len(clip))
        if self.crop is None:
            frames = clip.at(positions)
        else:
            first, *_ = together = clip.at([0, *positions])  # at once, as an archive is unpacked for every access
            rows, columns = self.crop.bounds(first)
            frames = together[1:, rows, columns]
        values = torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2)))
        values = values.float() / 255 if values.dtype == torch.uint8 else values.float()
        return values if self.crop is None else self.crop.resized(values)


def _clip_file(folder: Path, row: int) -> Path:
    return folder / _FOLDER / f"{row:08d}.safetensors"
