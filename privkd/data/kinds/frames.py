"""Frames of one video, decoded when they are asked for: from arrays, image files, archives and saved tensors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np

from accountants import check
from accountants.check import shown
from privkd.data.archives import read_arrays, stated_shape
from privkd.data.bounds import require_modest, require_regular
from privkd.data.folders import image_files, read_image
from privkd.data.kinds.column_checks import TOLERANCE

FRAMES = "frames"  # the name of the array or tensor in a file


class Frames(ABC):
    """A list of frames, each (height, width, channels), uint8 or float in [0, 1], all of one shape and dtype.

    Nothing is kept: asking twice decodes twice.
    """

    @abstractmethod
    def __len__(self) -> int:
        """Number of frames, >= 1."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of a frame, as far as known without decoding."""

    @abstractmethod
    def at(self, positions: Sequence[int]) -> np.ndarray:
        """The frames at some positions, (t, height, width, channels).

        Raises:
            IndexError: a position outside 0 to n - 1.
            ValueError: a frame cannot be read, or is of another shape; it is named by its position.
        """

    def __getitem__(self, position: int) -> np.ndarray:
        """One frame, (height, width, channels); errors as of `at`."""
        return self.at([position])[0]

    def encoded(self, position: int) -> tuple[str, bytes]:
        """Suffix and bytes of an image file that decodes to a frame of uint8 exactly; errors as of `at`."""
        from PIL import Image

        frame = self[position]
        if frame.dtype != np.uint8 or frame.shape[2] not in (1, 3):
            raise ValueError(
                f"frames of dtype {frame.dtype} and shape {frame.shape} have no image file; uint8 grey or RGB has"
            )
        with BytesIO() as file:
            Image.fromarray(frame[..., 0] if frame.shape[2] == 1 else frame).save(file, "PNG")
            return ".png", file.getvalue()

    def _checked(self, positions: Sequence[int]) -> list[int]:
        for position in positions:
            check.integer(position=position)
            if not 0 <= position < len(self):
                raise IndexError(f"frame {position} was asked for; there are frames 0 to {len(self) - 1}")
        return list(positions)


class ArrayFrames(Frames):
    """Frames that are in memory.

    Args:
        array: uint8, or float16/32/64 in [0, 1], shape (t, height, width, channels) or, for grey, (t, height, width); 1, 3 or 4
            channels. It is not copied.

    Raises:
        ValueError: another shape or dtype, or floats that are not finite or outside [0, 1]; the frame is named.
    """

    def __init__(self, array: np.ndarray) -> None:
        self._array = _video(array)

    def __len__(self) -> int:
        return len(self._array)

    @property
    def shape(self) -> tuple[int, int, int]:
        height, width, channels = self._array.shape[1:]
        return height, width, channels

    def at(self, positions: Sequence[int]) -> np.ndarray:
        return self._array[self._checked(positions)]


class ImageFrames(Frames):
    """Frames that are image files of one size: RGB, or grey, which becomes three equal channels.

    Args:
        paths: .png, .jpg or .bmp, in the order of time. They are opened when they are asked for.

    Raises:
        ValueError: there are no paths.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        if not paths:
            raise ValueError("there are no frames; at least one is needed")
        self._paths = list(paths)
        self._shape: tuple[int, int, int] | None = None

    @classmethod
    def of_folder(cls, folder: Path) -> ImageFrames:
        """All images of a folder in the order of their names, where "10.jpg" comes after "9.jpg".

        Raises:
            ValueError: it has no images, or something else than images.
        """
        return cls.of_files(image_files(folder))

    @classmethod
    def of_files(cls, paths: Iterable[Path]) -> ImageFrames:
        """Images in the order of their names, as of `of_folder`.

        Raises:
            ValueError: there are none.
        """
        return cls(sorted(paths, key=_by_number))

    def __len__(self) -> int:
        return len(self._paths)

    @property
    def shape(self) -> tuple[int, int, int]:
        if self._shape is None:
            self._shape = self._decoded(0).shape
        return self._shape

    def at(self, positions: Sequence[int]) -> np.ndarray:
        frames = [self._decoded(position) for position in self._checked(positions)]
        for position, frame in zip(positions, frames, strict=True):
            if frame.shape != self.shape:
                raise ValueError(f"frame {position} is {_size(frame.shape)}, but frame 0 is {_size(self.shape)} pixels")
        return np.stack(frames) if frames else np.empty((0, *self.shape), dtype=np.uint8)

    def encoded(self, position: int) -> tuple[str, bytes]:
        """The file as it is, once it was decoded without an error."""
        self.at([position])
        path = self._paths[position]
        return path.suffix.lower(), path.read_bytes()

    def _decoded(self, position: int) -> np.ndarray:
        path = self._paths[position]
        try:
            require_regular(path)
            _, pixels = read_image(path)
        except (ValueError, OSError) as error:
            raise ValueError(f"frame {position} cannot be read: {shown(error)}") from None
        if len(pixels) == 4:
            raise ValueError(f"frame {position}: {path} has a channel of transparency; RGB and grey are read")
        return np.ascontiguousarray(np.broadcast_to(pixels, (3, *pixels.shape[1:])).transpose(1, 2, 0))


class ArchiveFrames(Frames):
    """Frames in an .npz archive under the name `frames`, like an `ArrayFrames`; every access unpacks the whole array.

    Args:
        path: of the archive. Only what it states about its size is read here.

    Raises:
        ValueError: it is damaged, has no such array, or would unfold to far more than it stores.
    """

    def __init__(self, path: Path) -> None:
        require_regular(path)
        shape, dtype = stated_shape(path, FRAMES)
        _require_video(shape, dtype, what=str(path))
        size = dtype.itemsize * int(np.prod(shape, dtype=object))
        require_modest(size, stored=path.stat().st_size, what=str(path))
        self._path, self._stated = path, (*shape, 1)[:4]

    def __len__(self) -> int:
        return self._stated[0]

    @property
    def shape(self) -> tuple[int, int, int]:
        _, height, width, channels = self._stated
        return height, width, channels

    def at(self, positions: Sequence[int]) -> np.ndarray:
        return ArrayFrames(read_arrays(self._path, [FRAMES])[FRAMES]).at(self._checked(positions))


class TensorFrames(Frames):
    """Frames in a .safetensors file under the name `frames`, (t, height, width, channels); only those asked for are read.

    Args:
        path: of the file.

    Raises:
        ValueError: it is damaged, or has other tensors.
    """

    def __init__(self, path: Path) -> None:
        from safetensors import SafetensorError, safe_open

        require_regular(path)
        self._path = path
        try:
            with safe_open(path, framework="np") as file:
                if list(file.keys()) != [FRAMES]:
                    raise ValueError(f"{path} must hold the tensor {FRAMES!r} alone")
                self._stated = tuple(file.get_slice(FRAMES).get_shape())
                if len(self._stated) != 4 or 0 in self._stated:
                    raise ValueError(f"{path}: {FRAMES} of shape {self._stated} must be (t, height, width, channels)")
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{path} is not a readable .safetensors file ({shown(error)})") from None

    def __len__(self) -> int:
        return self._stated[0]

    @property
    def shape(self) -> tuple[int, int, int]:
        _, height, width, channels = self._stated
        return height, width, channels

    def at(self, positions: Sequence[int]) -> np.ndarray:
        from safetensors import safe_open

        positions = self._checked(positions)
        with safe_open(self._path, framework="np") as file:
            stored = file.get_slice(FRAMES)
            frames = [stored[position : position + 1] for position in positions]
        return _video(np.concatenate(frames)) if frames else np.empty((0, *self.shape), dtype=np.uint8)


def as_frames(video: Frames | np.ndarray) -> Frames:
    """Frames as they are, or those of an array."""
    return video if isinstance(video, Frames) else ArrayFrames(video)


def _video(array: np.ndarray) -> np.ndarray:
    """An array of frames with its dimension of channels, checked."""
    _require_video(array.shape, array.dtype, what="frames")
    if array.dtype.kind == "f":
        wrong = ~((array >= -TOLERANCE) & (array <= 1 + TOLERANCE))  # also NaN
        if wrong.any():
            frame = int(np.flatnonzero(wrong.reshape(len(array), -1).any(1))[0])
            raise ValueError(
                f"frame {frame} has values that are NaN or outside [0, 1]; divide values of 0..255 by 255, or use uint8"
            )
    return array[..., None] if array.ndim == 3 else array


def _require_video(shape: tuple[int, ...], dtype: np.dtype, *, what: str) -> None:
    if len(shape) not in (3, 4) or 0 in shape or (*shape, 1)[3] not in (1, 3, 4):
        raise ValueError(
            f"{what} of shape {shape} must be (t, height, width) or (t, height, width, 1, 3 or 4), each at least 1"
        )
    if dtype != np.uint8 and dtype.kind != "f":
        raise ValueError(f"{what}.dtype={dtype} must be uint8, or floats in [0, 1]")


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"


def _by_number(path: Path) -> tuple[int, str]:
    """Names that end in a number by the number, then by the name."""
    digits = path.stem[len(path.stem.rstrip("0123456789")) :]
    return int(digits or 0) if len(digits) < 20 else 0, path.name
