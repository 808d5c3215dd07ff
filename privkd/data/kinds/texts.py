"""`Texts`: pieces of text, with an image and a class where there are some."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from privkd.data.arrays import input_tensor, to_array
from privkd.data.bounds import require_regular
from privkd.data.folders import stack_images
from privkd.data.kinds.class_labels import Names, label_column
from privkd.data.kinds.column_checks import (
    class_name_problems,
    extra_problems,
    image_problems,
    label_problems,
    refuse,
    require_name,
    require_tensors,
)
from privkd.data.kinds.kind import Index, Kind, Path_, class_count, kept_names
from privkd.data.kinds.stored import EXTRA, load_folder, packed_texts, save_folder, unpacked_texts
from privkd.data.kinds.tables import numbers_or_text, read_table, whole_column
from privkd.data.paths import inside
from privkd.data.row_index import row_index

SCHEMA = "privkd.texts/1"
_COLUMNS = ("text", "label", "image", "pictured")


@dataclass(frozen=True, eq=False, repr=False)
class Texts(Kind, Dataset[dict[str, Any]]):
    """Texts; batches carry them as lists of `str`.

    Attributes:
        texts: one per row; an empty one is legal, characters that UTF-8 cannot hold are not.
        labels: class of each row, int64, shape (n,), >= 0; None if not known.
        name: what the data are called in reports.
        images: pictures, uint8, or float32 in [0, 1], shape (m, channels, height, width); None if there are none.
        picture: which image belongs to each row, int64, shape (n,), 0 to m - 1, or -1 for none; None: image i belongs to row i.
        class_names: distinct names by class index; None if not known. Declares the number of classes.
        extra: further columns by name, each with n rows; see `with_column`.

    Raises:
        TypeError: a field has another type or dtype.
        ValueError: shapes, lengths or values are out of range; every problem is listed, with the position of its first row.

    Example:
        >>> data = Texts(("so it is", "never!"), torch.tensor([0, 1]), "toy")
        >>> data, Texts.collate([data[1], data[0]])
        (Texts(name='toy', n=2, labelled, images=0), {'text': ['never!', 'so it is'], 'label': tensor([1, 0])})
    """

    texts: tuple[str, ...]
    labels: Tensor | None
    name: str
    images: Tensor | None = None
    picture: Tensor | None = None
    class_names: tuple[str, ...] | None = None
    extra: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_tensors(torch.int64, labels=self.labels, picture=self.picture)
        require_name(self.name)
        rows = len(self.texts)
        problems = _text_problems(self.texts) + class_name_problems(self.class_names)
        if self.labels is not None:
            problems += label_problems(self.labels, self.class_names, rows=rows)
        problems += _picture_problems(self.images, self.picture, rows)
        problems += extra_problems(self.extra, rows=rows, taken=_COLUMNS)
        refuse(f"texts {self.name!r}", problems)
        if self.images is not None and self.picture is None:
            object.__setattr__(self, "picture", torch.arange(rows))
        object.__setattr__(self, "extra", dict(self.extra))

    def __len__(self) -> int:
        return len(self.texts)

    def __repr__(self) -> str:
        labels, images = (
            "no labels" if self.labels is None else "labelled",
            0 if self.images is None else len(self.images),
        )
        return f"Texts(name={self.name!r}, n={len(self)}, {labels}, images={images})"

    @property
    def classes(self) -> int:
        """Number of classes: that of `class_names`, else the largest label + 1."""
        return class_count(self.labels, self.class_names, what=f"texts {self.name!r}")

    def __getitem__(self, row: int) -> dict[str, Any]:
        """One row: "text" (str), and where there are some "label", "image" (float32 in [0, 1]), "pictured" and added columns.

        A row without an image among rows with images has one of zeros.
        """
        (row,) = row_index([row], n=len(self)).tolist()
        found: dict[str, Any] = {"text": self.texts[row]}
        if self.labels is not None:
            found["label"] = self.labels[row]
        if self.images is not None and self.picture is not None:
            at = int(self.picture[row])
            image = self.images[at] if at >= 0 else torch.zeros_like(self.images[0])
            found["image"] = image / 255 if image.dtype == torch.uint8 else image
            found["pictured"] = torch.tensor(at >= 0)
        return found | {name: column[row] for name, column in self.extra.items()}

    @staticmethod
    def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
        """A batch: "text" as a list of `str`, every other value as a tensor (b, ...)."""
        stacked = {name: torch.stack([row[name] for row in rows]) for name in rows[0] if name != "text"}
        return {"text": [row["text"] for row in rows], **stacked}

    def with_column(self, name: str, values: Tensor) -> Texts:
        """The same data with one more column, which batches then have.

        Args:
            name: an identifier; a column that was added before is replaced.
            values: shape (n, ...), finite.

        Raises:
            ValueError: the name is that of a column of every text, or the values do not fit.
        """
        return replace(self, extra={**self.extra, name: values})

    def take(self, index: Index) -> Texts:
        rows = row_index(index, n=len(self))
        labels, picture = (None if one is None else one[rows] for one in (self.labels, self.picture))
        texts = tuple(self.texts[row] for row in rows.tolist())
        extra = {name: column[rows] for name, column in self.extra.items()}
        names = kept_names(self.labels, self.class_names)
        return Texts(texts, labels, self.name, self.images, picture, names, extra)

    def groups(self, by: str) -> Tensor:
        """Groups of rows: those of an int64 column (n,) that was added, or "text": equal texts stay together.

        Raises:
            ValueError: there is no such column.
        """
        if by == "text":
            numbers: dict[str, int] = {}
            return torch.tensor([numbers.setdefault(text, len(numbers)) for text in self.texts])
        column = self.extra.get(by)
        if column is None or column.dtype != torch.int64 or column.ndim != 1:
            raise ValueError(f"by={by!r} must be 'rows', 'text' or an int64 column (n,) that was added")
        return column

    def save(self, path: Path_) -> None:
        content, ends = packed_texts(self.texts)
        tensors = {
            "content": content,
            "ends": ends,
            "labels": self.labels,
            "images": self.images,
            "picture": self.picture,
        }
        tensors |= {f"{EXTRA}{name}": column for name, column in self.extra.items()}
        save_folder(path, SCHEMA, tensors, {"name": self.name, "class_names": self.class_names})

    @classmethod
    def load(cls, path: Path_) -> Texts:
        optional = ("labels", "images", "picture", EXTRA)
        stored = load_folder(
            path, SCHEMA, required=("content", "ends"), optional=optional, values=("name", "class_names")
        )
        one = stored.tensors
        texts = unpacked_texts(one["content"], one["ends"])
        images = (one.get("images"), one.get("picture"))
        return cls(texts, one.get("labels"), stored.text("name"), *images, stored.texts("class_names"), stored.extra())

    @classmethod
    def read(
        cls,
        source: Path_,
        *,
        text: str = "text",
        label: str = "label",
        image: str | None = None,
        images: object | None = None,
        classes: Names = None,
    ) -> Texts:
        """Texts from a table.

        Args:
            source: .csv, .tsv or .jsonl, UTF-8; see `privkd.data.kinds.tables.read_table`; or a folder that `save` wrote.
            text: name of the column of texts.
            label: name of the column of labels; without such a column the rows are unlabelled.
            image: name of a column of images: with `images` the row of each image in it, -1 for none; else names of image files
                of one size, relative to the folder of the table and inside of it, empty for none.
            images: array (m, channels, height, width) for `image`.
            classes: names of all classes in the order of their indices, which labels that are text need; see `privkd.data.load`.

        Raises:
            ValueError: a column is missing, a line or an image cannot be read, or anything that the constructor refuses; nothing of
                a line is quoted.
            FileNotFoundError: there is nothing at the path.
        """
        path = Path(source)
        if not path.exists():
            raise FileNotFoundError(f"no file or folder {str(path)!r}")
        if path.is_dir():
            return cls.load(path)
        require_regular(path)
        if path.suffix.lower() not in (".csv", ".tsv", ".jsonl"):
            raise ValueError(f"{path} is no table of texts; .csv, .tsv and .jsonl are read")
        if images is not None and image is None:
            raise ValueError("images were given without image=, the column that says which of them belongs to a row")
        table = read_table(path, [text] if image is None else [text, image], [label])
        labels, names = None, None
        if label in table:
            labels, names = label_column(numbers_or_text(table[label]), classes, role=label)
        pixels, picture = None, None
        if image is not None and images is not None:
            pixels, picture = _pixels(images), whole_column(table[image], role=image, path=path)
        elif image is not None:
            pixels, picture = _files(table[image], path)
        return cls(tuple(table[text]), labels, path.stem, pixels, picture, names)


def _text_problems(texts: tuple[str, ...]) -> list[str]:
    if not isinstance(texts, tuple) or not texts:
        return [f"texts (a {type(texts).__name__}) must be a tuple of at least one str"]
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            return [f"texts has a {type(text).__name__} in row {row}; all must be str"]
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            return [f"texts has a character that UTF-8 cannot hold (a lone surrogate) in row {row}"]
    return []


def _picture_problems(images: Tensor | None, picture: Tensor | None, rows: int) -> list[str]:
    if images is None:
        return [] if picture is None else ["picture was given without images"]
    if images.dtype == torch.uint8:
        wrong = images.ndim != 4 or not images.numel()
        problems = [f"images.shape={tuple(images.shape)} must be (m, channels, height, width)"] if wrong else []
    else:
        require_tensors(torch.float32, images=images)
        problems = image_problems(images, role="images")
    if problems:
        return problems
    if picture is None:
        return (
            []
            if len(images) == rows
            else [f"there are {len(images)} images for {rows} rows; picture= says which is whose"]
        )
    if tuple(picture.shape) != (rows,):
        return [f"picture.shape={tuple(picture.shape)} must be ({rows},)"]
    wrong_rows = ((picture < -1) | (picture >= len(images))).nonzero()
    if len(wrong_rows):
        return [f"picture has a number outside -1..{len(images) - 1}, first in row {int(wrong_rows[0])}"]
    return []


def _pixels(images: object) -> Tensor:
    """Images as they are held: uint8 stays, everything else becomes float32."""
    array = to_array(images, role="images")
    return torch.from_numpy(array.copy()) if array.dtype == np.uint8 else input_tensor(array, role="images")


def _files(names: list[str], table: Path) -> tuple[Tensor, Tensor]:
    paths = [
        None if name == "" else inside(table.parent, name, what=f"{table}: image of row {row}")
        for row, name in enumerate(names)
    ]
    present = [path for path in paths if path is not None]
    if not present:
        raise ValueError(f"{table}: no row has an image; leave image= out")
    order = torch.tensor([path is not None for path in paths])
    return torch.from_numpy(stack_images(present)), torch.where(order, order.cumsum(0) - 1, -1)
