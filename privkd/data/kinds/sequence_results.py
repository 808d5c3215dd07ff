"""Files of results of a tracker: boxes in `NAME.txt`, seconds in `times/NAME_time.txt`, as the GOT-10k toolkit has them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from privkd.data.kinds.kind import Path_
from privkd.data.kinds.sequence import SequenceError, require_boxes, require_plain_name
from privkd.data.kinds.sequence_numbers import rows_of
from privkd.storage import write_text


@dataclass(frozen=True, eq=False)
class SequenceResult:
    """What a tracker said about one sequence.

    Attributes:
        name: of the sequence.
        boxes: x, y, width and height in pixels, counted from 0, float64, shape (T, 4); all zero where it found no target.
        seconds: time per frame, float64 >= 0, shape (T,); None if it was not measured.

    Raises:
        SequenceError: lengths differ, or numbers are not finite or negative; the frame is named.
    """

    name: str
    boxes: np.ndarray
    seconds: np.ndarray | None = None

    def __post_init__(self) -> None:
        require_plain_name(self.name)
        require_boxes(self.boxes, frames=len(self.boxes), sequence=self.name)
        if not len(self.boxes):
            raise SequenceError(self.name, "its result has no frames")
        if self.seconds is None:
            return
        if self.seconds.shape != (len(self.boxes),):
            raise SequenceError(self.name, f"seconds.shape={self.seconds.shape} must be ({len(self.boxes)},)")
        wrong = ~(np.isfinite(self.seconds) & (self.seconds >= 0))
        if wrong.any():
            raise SequenceError(self.name, "seconds is negative, NaN or infinite", frame=int(np.flatnonzero(wrong)[0]))

    @property
    def visible(self) -> np.ndarray:
        """Where the tracker found its target, bool, shape (T,)."""
        return (self.boxes != 0).any(axis=1)

    def write(self, folder: Path_) -> None:
        """Write the files of this result; earlier ones of the name are replaced.

        Boxes have three decimals, seconds eight. Where a box would round to zeros, which mean that there is none, it is refused.

        Raises:
            SequenceError: a box is smaller than the files can say.
            OSError: the folder cannot be written.
        """
        lost = self.visible & (np.round(self.boxes, 3) == 0).all(axis=1)
        if lost.any():
            raise SequenceError(self.name, "its box rounds to zeros", frame=int(np.flatnonzero(lost)[0]))
        folder = Path(folder)
        (folder / "times").mkdir(parents=True, exist_ok=True)
        write_text(
            folder / f"{self.name}.txt",
            "".join(",".join(f"{round(one, 3) + 0.0:.3f}" for one in box) + "\n" for box in self.boxes),
        )
        if self.seconds is not None:
            write_text(_times(folder, self.name), "".join(f"{one:.8f}\n" for one in self.seconds))

    @classmethod
    def read(cls, folder: Path_, name: str, *, frames: int | None = None) -> SequenceResult:
        """Read the result of one sequence.

        Args:
            folder: of the results of one tracker.
            name: of the sequence.
            frames: how many frames the sequence has; a result of another length is refused.

        Raises:
            SequenceError: a file is damaged, or has another length.
            FileNotFoundError: there is no result of the name.
        """
        require_plain_name(name)
        path = Path(folder) / f"{name}.txt"
        if not path.exists():
            raise FileNotFoundError(f"no result {str(path)!r}")
        boxes = rows_of(path, 4, sequence=name)
        if frames is not None and len(boxes) != frames:
            raise SequenceError(name, f"its result has {len(boxes)} boxes, but it has {frames} frames")
        times = _times(Path(folder), name)
        return cls(name, boxes, rows_of(times, 1, sequence=name)[:, 0] if times.exists() else None)


def _times(folder: Path, name: str) -> Path:
    return folder / "times" / f"{name}_time.txt"
