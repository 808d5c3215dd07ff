"""Folders of images: a sub-folder per class, or a flat folder without labels."""

import struct
from pathlib import Path

import numpy as np

from privkd.data.arrays import Raw
from privkd.data.bounds import require_modest, require_regular
from privkd.progress import track

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
# Damaged images and damaged EXIF blocks were seen to raise these from inside Pillow.
_UNREADABLE = (OSError, SyntaxError, ValueError, TypeError, LookupError, struct.error)
MODES = ("L", "RGB", "RGBA")  # eight bits per channel, values that mean brightness (a palette index does not)


def read_folder(path: Path) -> Raw:
    """All images of a folder, in the order of class and file names, upright: a camera's EXIF orientation is applied.

    Args:
        path: folder with one sub-folder per class, each with images, or with images only. Names that start
            with a dot are skipped; any other file is refused, so that no image is left out unnoticed.

    Returns:
        uint8 inputs (n, channels, height, width) with 1, 3 or 4 channels; labels (n,), the names of the sub-folders as text,
        or None.

    Raises:
        ValueError: no images, images beside sub-folders, deeper folders, files of other types, unreadable
            images, or images that differ in size or mode; names the files.
    """
    paths, labels = found_images(path)
    return Raw(stack_images(paths), labels, path.resolve().name)


def found_images(path: Path) -> tuple[list[Path], np.ndarray | None]:
    """The images of a folder in the order of class and file names, and the names of their sub-folders; see `read_folder`.

    Raises:
        ValueError: no images, images beside sub-folders, deeper folders, or files of other types.
    """
    entries = _entries(path)
    class_folders = [entry for entry in entries if entry.is_dir()]
    files = [entry for entry in entries if not entry.is_dir()]
    if class_folders and files:
        raise ValueError(
            f"{path} has both sub-folders ({class_folders[0].name}) and files ({files[0].name}); give a "
            "folder of class folders, or a flat folder of images"
        )
    if not class_folders:
        return image_files(path), None
    paths = {folder.name: image_files(folder) for folder in class_folders}
    labels = np.repeat(list(paths), [len(images) for images in paths.values()])
    return [image for images in paths.values() for image in images], labels


def _entries(folder: Path) -> list[Path]:
    return sorted((entry for entry in folder.iterdir() if not entry.name.startswith(".")), key=lambda entry: entry.name)


def image_files(folder: Path) -> list[Path]:
    """The images of a flat folder in the order of their names; any other file or folder in it is refused.

    Raises:
        ValueError: no images, or something else than images.
    """
    files = _entries(folder)
    if not files:
        raise ValueError(f"{folder} has no images; {', '.join(SUFFIXES)} are read")
    for file in files:
        if file.is_dir():
            raise ValueError(f"{file} is a folder inside a class folder; classes are one level deep")
        require_regular(file)
        if file.suffix.lower() not in SUFFIXES:
            raise ValueError(f"{file} is not an image; {', '.join(SUFFIXES)} are read. Move other files elsewhere")
    return files


def stack_images(paths: list[Path]) -> np.ndarray:
    """Images of one size and mode, uint8 (n, channels, height, width).

    Raises:
        ValueError: an image cannot be read, they differ, or they would unfold to far more than is stored.
    """
    first_mode, first_image = read_image(paths[0])
    stored = sum(path.stat().st_size for path in paths)
    require_modest(len(paths) * first_image.nbytes, stored=stored, what=f"{len(paths)} images like {paths[0]}")
    images = np.empty((len(paths), *first_image.shape), dtype=np.uint8)
    with track("reading images", len(paths)) as advance:
        for position, path in enumerate(paths):
            images[position] = _like_first(path, first_mode, first_image, first=paths[0])
            advance()
    return images


def _like_first(path: Path, first_mode: str, first_image: np.ndarray, *, first: Path) -> np.ndarray:
    mode, image = read_image(path)
    if mode != first_mode or image.shape != first_image.shape:
        raise ValueError(
            f"{first} is {_describe(first_mode, first_image)} but {path} is {_describe(mode, image)}: "
            "all images must have one size and mode, and none is resized or converted here; convert the "
            "files first"
        )
    return image


def _describe(mode: str, image: np.ndarray) -> str:
    return f"{image.shape[2]}x{image.shape[1]} pixels {mode}"


def read_image(path: Path) -> tuple[str, np.ndarray]:
    """Mode and pixels of an image, upright: uint8 (channels, height, width) with 1, 3 or 4 channels.

    Raises:
        ValueError: it cannot be read, or has another mode.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path, formats=("PNG", "JPEG", "BMP")) as image:
            mode, pixels = image.mode, np.array(ImageOps.exif_transpose(image))
    except (*_UNREADABLE, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be read as an image ({error})") from None
    if mode not in MODES:
        raise ValueError(
            f"{path} has mode {mode!r}; {', '.join(MODES)} are read. Convert it, e.g. image.convert('RGB')"
        )
    return mode, pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
