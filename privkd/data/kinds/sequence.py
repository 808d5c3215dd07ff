"""`Sequence`: one video with the box of one target in every frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from accountants import check
from privkd.data.kinds.frames import Frames, as_frames

_LONGEST = 120  # characters of a name
Modality = Literal["rgb", "tir", "rgb+tir"]


class SequenceError(ValueError):
    """A sequence cannot be used.

    Attributes:
        sequence: its name.
        frame: position of the frame at fault, from 0; None if it is no single one.
    """

    def __init__(self, sequence: str, problem: str, *, frame: int | None = None) -> None:
        super().__init__(
            f"sequence {sequence!r}{'' if frame is None else f', frame {frame} (counted from 0)'}: {problem}"
        )
        self.sequence, self.frame = sequence, frame


@dataclass(frozen=True, eq=False, repr=False)
class Sequence:
    """A video and where its target is; `of` makes one from arrays.

    Attributes:
        name: plain: letters, digits, spaces and `._+-()`, not beginning with a dot; results are stored under it.
        frames: T frames (height, width, channels), uint8 as a rule, decoded when they are asked for.
        boxes: x, y, width and height in pixels, float64, shape (T, 4); x and y are the top left corner, counted from 0. All zero
            where the target is absent and nothing is known.
        visible: whether the target is there, bool, shape (T,).
        language: a sentence about the target.
        attributes: whole numbers by name, such as {"fast_motion": 1}.
        scenario: indicators of difficulty per frame, float64, shape (T, 7); see the UTUSC protocol of WebUAV-3M.
        speed: relative speed per frame, float64, shape (T,).
        masks: T frames (height, width, 1), uint8, above 0 on the target.
        modality: "rgb", "tir" (thermal) or "rgb+tir".
        fps: frames per second of the video, > 0.
        starts_empty: whether the target may be absent in frame 0, for protocols that give no first box.

    Raises:
        SequenceError: lengths differ, boxes are not finite or have a negative size, a visible target has no box, or the target is
            absent in frame 0; the frame is named.
        TypeError: an array of another dtype.

    Example:
        >>> boxes = np.array([[1.0, 2.0, 3.0, 4.0], [0, 0, 0, 0]])
        >>> Sequence.of("toy", np.zeros((2, 8, 8, 3), np.uint8), boxes).visible.tolist()
        [True, False]
    """

    name: str
    frames: Frames
    boxes: np.ndarray
    visible: np.ndarray
    language: str | None = None
    attributes: Mapping[str, int] = field(default_factory=dict)
    scenario: np.ndarray | None = None
    speed: np.ndarray | None = None
    masks: Frames | None = None
    modality: Modality = "rgb"
    fps: float = 30.0
    starts_empty: bool = False

    def __post_init__(self) -> None:
        require_plain_name(self.name)
        _require_types(self)
        require_boxes(self.boxes, frames=len(self.frames), sequence=self.name)
        _require_visible(self)
        _require_beside(self)
        object.__setattr__(self, "attributes", dict(self.attributes))

    @classmethod
    def of(
        cls,
        name: str,
        frames: Frames | np.ndarray,
        boxes: np.ndarray,
        *,
        visible: np.ndarray | None = None,
        **beside: Any,
    ) -> Sequence:
        """A sequence of an array of frames, or `Frames`; without `visible`, the target is where its box is not all zero.

        Args:
            name: see the class.
            frames: (T, height, width, channels) or, for grey, (T, height, width).
            boxes: float64, shape (T, 4).
            visible: bool, shape (T,).
            **beside: further fields of the class; `masks` may be an array as well.

        Raises:
            SequenceError, TypeError: as of the class, or an array that holds no frames.
        """
        try:
            masks = None if beside.get("masks") is None else as_frames(beside["masks"])
            frames = as_frames(frames)
        except ValueError as error:
            raise SequenceError(name, str(error)) from None
        there = (boxes != 0).any(axis=-1) if visible is None else visible
        return cls(name, frames, boxes, there, **{**beside, "masks": masks})

    def __len__(self) -> int:
        return len(self.frames)

    def __repr__(self) -> str:
        language = "no language" if self.language is None else "language"
        return f"Sequence(name={self.name!r}, frames={len(self)}, {self.modality}, {language})"


def require_boxes(boxes: np.ndarray, *, frames: int, sequence: str) -> None:
    """Refuse boxes that are not (T, 4), not finite, or have a negative size.

    Raises:
        SequenceError: another shape, or a wrong box, whose frame is named.
    """
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise SequenceError(sequence, f"boxes.shape={boxes.shape} must be ({frames}, 4): x, y, width, height")
    if len(boxes) != frames:
        raise SequenceError(sequence, f"there are {len(boxes)} boxes for {frames} frames; each frame needs one")
    for wrong, problem in (
        (
            ~np.isfinite(boxes).all(axis=1),
            "its box has a number that is NaN or infinite; an absent target has a box of zeros",
        ),
        ((boxes[:, 2:] < 0).any(axis=1), "its box has a negative width or height"),
    ):
        if wrong.any():
            raise SequenceError(sequence, problem, frame=int(np.flatnonzero(wrong)[0]))


def require_plain_name(name: object) -> None:
    """Refuse names that could not be those of files in one folder.

    Raises:
        TypeError: no string.
        SequenceError: empty, too long, beginning with a dot or a space, or with other characters.
    """
    if not isinstance(name, str):
        raise TypeError(f"name (a {type(name).__name__}) must be a string")
    plain = all(letter.isalnum() or letter in " ._+-()" for letter in name)
    if not name or not plain or name[0] in ". " or name[-1] in ". " or len(name.encode("utf-8")) > _LONGEST:
        raise SequenceError(
            name[:_LONGEST],
            f"a name must be 1 to {_LONGEST} letters, digits, spaces and ._+-(), and begin and end with neither a dot nor a space",
        )


def _require_types(sequence: Sequence) -> None:
    for role, kind in (
        ("frames", Frames),
        ("masks", Frames | None),
        ("language", str | None),
        ("attributes", Mapping),
        ("starts_empty", bool),
    ):
        if not isinstance(value := getattr(sequence, role), kind):
            raise TypeError(
                f"sequence {sequence.name!r}: {role} (a {type(value).__name__}) has another type than it must have"
            )
    for role, dtype in (("boxes", "float64"), ("visible", "bool"), ("scenario", "float64"), ("speed", "float64")):
        array = getattr(sequence, role)
        if array is not None and (not isinstance(array, np.ndarray) or array.dtype != np.dtype(dtype)):
            found = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise TypeError(f"sequence {sequence.name!r}: {role} is {found}; it must be a numpy array of {dtype}")


def _require_visible(sequence: Sequence) -> None:
    visible, empty = sequence.visible, (sequence.boxes == 0).all(axis=1)
    if visible.shape != (len(sequence),):
        raise SequenceError(sequence.name, f"visible.shape={visible.shape} must be ({len(sequence)},)")
    if (visible & empty).any():
        frame = int(np.flatnonzero(visible & empty)[0])
        raise SequenceError(sequence.name, "its target is visible, but its box is empty", frame=frame)
    if not sequence.starts_empty and not (visible[0] and (sequence.boxes[0, 2:] > 0).all()):
        raise SequenceError(
            sequence.name,
            "its target is absent, but trackers begin there; protocols without a first box set starts_empty",
            frame=0,
        )


def _require_beside(sequence: Sequence) -> None:
    frames = len(sequence)
    for role, shape in (("scenario", (frames, 7)), ("speed", (frames,))):
        array = getattr(sequence, role)
        if array is None:
            continue
        if array.shape != shape:
            raise SequenceError(sequence.name, f"{role}.shape={array.shape} must be {shape}")
        wrong = ~np.isfinite(array.reshape(frames, -1)).all(axis=1)
        if wrong.any():
            raise SequenceError(sequence.name, f"{role} is NaN or infinite", frame=int(np.flatnonzero(wrong)[0]))
    if sequence.masks is not None and len(sequence.masks) != frames:
        raise SequenceError(sequence.name, f"there are {len(sequence.masks)} masks for {frames} frames")
    if sequence.language is not None and not sequence.language.strip():
        raise SequenceError(sequence.name, "language is empty; leave it out")
    if sequence.modality not in ("rgb", "tir", "rgb+tir"):
        raise SequenceError(sequence.name, f"modality={sequence.modality!r} must be 'rgb', 'tir' or 'rgb+tir'")
    for name, value in sequence.attributes.items():
        check.integer(**{f"attributes[{name!r}]": value})
    check.real(fps=sequence.fps, above=0)
