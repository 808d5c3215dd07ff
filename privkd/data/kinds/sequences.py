"""`Sequences`: a tracking data set, one video after the other."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from privkd.data.kinds.column_checks import require_name
from privkd.data.kinds.frames import ImageFrames
from privkd.data.kinds.kind import Index, Kind, Path_
from privkd.data.kinds.sequence import Modality, Sequence, SequenceError
from privkd.data.kinds.sequence_folders import FolderOptions, sequences_in
from privkd.data.kinds.stored import is_saved, load_folder, read_tensors, save_folder, write_tensors
from privkd.data.row_index import row_index
from privkd.storage import write_bytes

SCHEMA = "privkd.sequences/1"
_ARRAYS = ("boxes", "visible", "scenario", "speed")
_PLAIN = ("name", "language", "attributes", "modality", "fps", "starts_empty")


@dataclass(frozen=True, eq=False, repr=False)
class Sequences(Kind):
    """Videos with a target each; the rows are the videos. They are iterated; no frame is decoded before it is asked for.

    Attributes:
        sequences: at least one; their names are distinct.
        name: what the data are called in reports.

    Raises:
        ValueError: there is none, or two have one name.

    Example:
        >>> import numpy as np
        >>> one = Sequence.of("toy", np.zeros((2, 8, 8, 3), np.uint8), np.ones((2, 4)))
        >>> data = Sequences((one,), "toys")
        >>> data, data.names, len(data.sequence("toy"))
        (Sequences(name='toys', n=1, frames=2), ['toy'], 2)
    """

    sequences: tuple[Sequence, ...]
    name: str

    def __post_init__(self) -> None:
        require_name(self.name)
        object.__setattr__(self, "sequences", tuple(self.sequences))
        names = self.names
        if not names:
            raise ValueError(f"sequences {self.name!r} are empty; at least one is needed")
        again = sorted({name.casefold() for name in names if names.count(name) > 1})
        if again:
            raise ValueError(
                f"sequences {self.name!r} have {again[:3]} twice; results are stored under names, which must differ"
            )

    def __len__(self) -> int:
        return len(self.sequences)

    def __iter__(self) -> Iterator[Sequence]:
        return iter(self.sequences)

    def __getitem__(self, row: int) -> Sequence:
        """The sequence at a position, 0 to n - 1."""
        return self.sequences[row_index([row], n=len(self)).tolist()[0]]

    def __repr__(self) -> str:
        return f"Sequences(name={self.name!r}, n={len(self)}, frames={sum(map(len, self.sequences))})"

    @property
    def names(self) -> list[str]:
        """Names of the sequences, in order."""
        return [sequence.name for sequence in self.sequences]

    def sequence(self, name: str) -> Sequence:
        """The sequence of a name.

        Raises:
            KeyError: there is none of this name.
        """
        for sequence in self.sequences:
            if sequence.name == name:
                return sequence
        raise KeyError(f"no sequence {name!r}; there are {len(self)}: {', '.join(self.names[:5])}, ...")

    def take(self, index: Index) -> Sequences:
        """The sequences at `index`; a repeated index is refused, as two would have one name."""
        return Sequences(tuple(self.sequences[row] for row in row_index(index, n=len(self)).tolist()), self.name)

    def save(self, path: Path_) -> None:
        """Write a folder that `load` reads: frames that are image files as they are, others as PNG; see `Kind.save`.

        Raises:
            SequenceError: frames that are neither image files nor uint8, grey or RGB.
        """
        plain = [{name: getattr(sequence, name) for name in _PLAIN} for sequence in self.sequences]
        masked = [sequence.masks is not None for sequence in self.sequences]

        def write_frames(folder: Path) -> None:
            for row, sequence in enumerate(self.sequences):
                _write_sequence(_folder_of(folder, row), sequence)

        save_folder(path, SCHEMA, {}, {"name": self.name, "sequences": plain, "masked": masked}, further=write_frames)

    @classmethod
    def load(cls, path: Path_) -> Sequences:
        stored = load_folder(path, SCHEMA, values=("name", "sequences", "masked"))
        plain, masked = stored.values["sequences"], stored.values["masked"]
        if not isinstance(plain, builtins.list) or not isinstance(masked, builtins.list) or len(plain) != len(masked):
            raise ValueError(f"{path} must list its sequences, and which of them have masks")
        rows = zip(plain, masked, strict=True)
        found = [_read_sequence(_folder_of(Path(path), row), *both) for row, both in enumerate(rows)]
        return cls(tuple(found), stored.text("name"))

    @classmethod
    def read(
        cls,
        source: Path_,
        *,
        first_pixel: int = 0,
        starts_empty: bool = False,
        modality: Modality | None = None,
        fps: float = 30.0,
        attribute_names: tuple[str, ...] | None = None,
    ) -> Sequences:
        """Sequences of a folder; no frame is decoded here.

        Each folder with `groundtruth_rect.txt` or `groundtruth.txt` (x, y, width, height per line, by commas or white space) is a
        sequence, up to two folders deep; `groundtruth_rect.1.txt`, `.2.txt` are two, named `NAME.1`, `NAME.2`. Frames are the
        images in `img/` or `imgs/`, or beside the boxes (GOT-10k). Read where they are: `language.txt` or `nlp.txt`,
        `attributes.txt`, `absent.txt` or `absence.label` (1 = absent), `full_occlusion.txt` and `out_of_view.txt` (LaSOT),
        `scenario.txt`, `relative_speed.txt`. A folder with `IR_label.json` (Anti-UAV) has its frames as images in `infrared/`,
        `IR/`, `img/` or itself; video files have to be taken apart first.

        Args:
            source: the folder of a data set or of a single sequence; or one that `save` wrote.
            first_pixel: what the files call the coordinate of the first pixel: 0, or 1 as in OTB; it is subtracted from x and y.
            starts_empty: allow that the target is absent in frame 0 (Anti-UAV without a first box).
            modality: "rgb", "tir" or "rgb+tir"; None: "tir" for Anti-UAV, else "rgb".
            fps: frames per second of all videos.
            attribute_names: names of the numbers in `attributes.txt`; None: their positions, "0", "1", ...

        Raises:
            SequenceError: a file is damaged, lengths differ, or anything that `Sequence` refuses; sequence and frame are named.
            ValueError: there are no sequences.
            FileNotFoundError: there is nothing at the path.
        """
        path = Path(source)
        if not path.exists():
            raise FileNotFoundError(f"no folder {str(path)!r}")
        if not path.is_dir():
            raise ValueError(f"{path} is no folder of sequences")
        if is_saved(path):
            return cls.load(path)
        if type(first_pixel) is not int or first_pixel not in (0, 1):
            raise ValueError(f"first_pixel={first_pixel!r} must be 0 or 1")
        options = FolderOptions(first_pixel, starts_empty, modality, fps, attribute_names)
        return cls(tuple(sequences_in(path, options)), path.resolve().name)


def _folder_of(folder: Path, row: int) -> Path:
    return folder / f"{row:06d}"


def _write_sequence(folder: Path, sequence: Sequence) -> None:
    """One frame at a time, so that no video has to fit into memory."""
    folder.mkdir()
    arrays = {name: getattr(sequence, name) for name in _ARRAYS}
    tensors = {name: torch.from_numpy(array.copy()) for name, array in arrays.items() if array is not None}
    write_tensors(folder / "track.safetensors", tensors)
    for role in ("frames", "masks"):
        video = getattr(sequence, role)
        if video is None:
            continue
        (folder / role).mkdir()
        for frame in range(len(video)):
            try:
                suffix, content = video.encoded(frame)
            except ValueError as error:
                raise SequenceError(sequence.name, str(error), frame=frame) from None
            write_bytes(folder / role / f"{frame:08d}{suffix}", content)


def _read_sequence(folder: Path, plain: Any, masked: Any) -> Sequence:
    if not isinstance(plain, dict) or set(plain) != set(_PLAIN) or not isinstance(masked, bool):
        raise ValueError(
            f"{folder.parent}: a sequence must have the values {', '.join(_PLAIN)}, and masked true or false"
        )
    tensors = read_tensors(folder / "track.safetensors")
    if not {"boxes", "visible"} <= set(tensors) <= set(_ARRAYS):
        raise ValueError(f"{folder}/track.safetensors must hold boxes and visible, and at most {', '.join(_ARRAYS)}")
    values: dict[str, Any] = {**plain, **{name: tensor.numpy() for name, tensor in tensors.items()}}
    for role in ("frames", "masks") if masked else ("frames",):
        if not (folder / role).is_dir():
            raise ValueError(f"{folder / role} is missing")
        values[role] = ImageFrames.of_folder(folder / role)
    return Sequence(**values)
