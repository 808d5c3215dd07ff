"""`PairedViews`: the same things seen twice, well and badly, for students that only see the bad view."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from privkd.data.archives import read_arrays
from privkd.data.arrays import input_tensor
from privkd.data.bounds import require_regular
from privkd.data.folders import found_images, stack_images
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
from privkd.data.kinds.stored import EXTRA, is_saved, load_folder, save_folder
from privkd.data.records import Records
from privkd.data.row_index import row_index

SCHEMA = "privkd.paired-views/1"
Degrade = Callable[..., Tensor | tuple[Tensor, Tensor]]
_COLUMNS = ("high", "low", "label")


@dataclass(frozen=True, eq=False, repr=False)
class PairedViews(Kind):
    """Pairs of images: a privileged view for the teacher, and the view that the deployed student will get.

    High and low resolution, or unmasked and masked, are the same thing here.

    Attributes:
        high: privileged view, float32 in [0, 1] (tolerance 1e-3), shape (n, channels, height, width).
        low: deployed view of the same rows, likewise; it may have another size and other channels.
        labels: class or identity of each row, int64, shape (n,); -1 for unlabelled rows.
        name: what the data are called in reports.
        class_names: distinct names by class index; None if not known. Declares the number of classes.
        extra: further columns by name, each with n rows; see `with_column`.

    Raises:
        TypeError: a field has another type or dtype.
        ValueError: shapes, lengths or values are out of range; every problem is listed, with the position of its first row.

    Example:
        >>> views = PairedViews(torch.zeros(3, 1, 8, 8), torch.zeros(3, 1, 4, 4), torch.tensor([0, 1, -1]), "toy")
        >>> views, views.classes, list(views.columns())
        (PairedViews(name='toy', n=3, high=(1, 8, 8), low=(1, 4, 4)), 2, ['high', 'low', 'label'])
    """

    high: Tensor
    low: Tensor
    labels: Tensor
    name: str
    class_names: tuple[str, ...] | None = None
    extra: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_tensors(torch.float32, high=self.high, low=self.low)
        require_tensors(torch.int64, labels=self.labels)
        require_name(self.name)
        problems = image_problems(self.high, role="high") + image_problems(self.low, role="low")
        rows = len(self.high) if self.high.ndim else 0
        if not problems and len(self.low) != rows:
            problems.append(f"high has {rows} rows but low has {len(self.low)}; row i of both must show the same thing")
        problems += class_name_problems(self.class_names)
        problems += label_problems(self.labels, self.class_names, rows=rows, lowest=-1)
        problems += extra_problems(self.extra, rows=rows, taken=_COLUMNS)
        refuse(f"paired views {self.name!r}", problems)
        object.__setattr__(self, "extra", dict(self.extra))

    def __len__(self) -> int:
        return self.high.shape[0]

    def __repr__(self) -> str:
        shapes = f"high={tuple(self.high.shape[1:])}, low={tuple(self.low.shape[1:])}"
        return f"PairedViews(name={self.name!r}, n={len(self)}, {shapes})"

    @property
    def classes(self) -> int:
        """Number of classes: that of `class_names`, else the largest label + 1.

        Raises:
            ValueError: there are no class names, and no row is labelled.
        """
        return class_count(self.labels, self.class_names, what=f"paired views {self.name!r}")

    def columns(self) -> dict[str, Tensor]:
        """The columns "high", "low" and "label", then those that were added."""
        return {"high": self.high, "low": self.low, "label": self.labels, **self.extra}

    def with_column(self, name: str, values: Tensor) -> PairedViews:
        """The same data with one more column, which batches then have.

        Args:
            name: an identifier; a column that was added before is replaced.
            values: shape (n, ...), finite.

        Raises:
            ValueError: the name is that of a column of every pair, or the values do not fit.
        """
        return replace(self, extra={**self.extra, name: values})

    def take(self, index: Index) -> PairedViews:
        rows = row_index(index, n=len(self))
        extra = {name: column[rows] for name, column in self.extra.items()}
        names = kept_names(self.labels, self.class_names)
        return PairedViews(self.high[rows], self.low[rows], self.labels[rows], self.name, names, extra)

    def groups(self, by: str) -> Tensor:
        """Groups of rows: those of "identity", which is a column of this name if one was added, else the label.

        Raises:
            ValueError: another name, or rows without an identity, which could be in both parts.
        """
        column = self.extra.get(by, self.labels if by == "identity" else None)
        if column is None or column.dtype != torch.int64 or column.ndim != 1:
            raise ValueError(f"by={by!r} must be 'rows', 'identity' or an int64 column (n,) that was added")
        if (column < 0).any():
            row = int((column < 0).nonzero()[0])
            raise ValueError(
                f"row {row} has no identity (-1), so that no split by it is disjoint; add one by with_column('identity', ...)"
            )
        return column

    @classmethod
    def of(cls, records: Records, degrade: Degrade, *, seed: int = 0) -> PairedViews:
        """Pairs of records and what a degradation makes of them.

        Args:
            records: images in [0, 1], shape (n, channels, height, width); unlabelled ones get -1.
            degrade: called once with all images and `generator=`; gives the low view, or it and a mask of what is occluded
                (n, ...), which becomes the column "occlusion".
            seed: of the generator; the same seed gives the same views on the CPU.
        """
        made = degrade(records.inputs, generator=torch.Generator().manual_seed(seed))
        low, occlusion = made if isinstance(made, tuple) else (made, None)
        labels = records.labels if records.labels is not None else torch.full((len(records),), -1)
        extra = {} if occlusion is None else {"occlusion": occlusion}
        return cls(records.inputs, low, labels, records.name, records.class_names, extra)

    def save(self, path: Path_) -> None:
        added = {f"{EXTRA}{name}": column for name, column in self.extra.items()}
        tensors = {"high": self.high, "low": self.low, "labels": self.labels, **added}
        save_folder(path, SCHEMA, tensors, {"name": self.name, "class_names": self.class_names})

    @classmethod
    def load(cls, path: Path_) -> PairedViews:
        stored = load_folder(
            path, SCHEMA, required=("high", "low", "labels"), optional=(EXTRA,), values=("name", "class_names")
        )
        one = stored.tensors
        return cls(
            one["high"], one["low"], one["labels"], stored.text("name"), stored.texts("class_names"), stored.extra()
        )

    @classmethod
    def read(cls, source: Path_, *, classes: Names = None) -> PairedViews:
        """Pairs from files.

        Args:
            source: an .npz archive with the arrays `high`, `low` and, if any, `labels`; a folder with the sub-folders `high` and
                `low`, which hold images of the same names, flat or in a sub-folder per class; or a folder that `save` wrote.
            classes: names of all classes in the order of their indices, which labels that are text need; see `privkd.data.load`.

        Returns:
            Pairs; uint8 was divided by 255, and (n, height, width) became (n, 1, height, width). Labels may be -1.

        Raises:
            ValueError: another kind of source, names that differ between the views, or anything that the constructor refuses.
            FileNotFoundError: there is nothing at the path.
        """
        path = Path(source)
        if not path.exists():
            raise FileNotFoundError(f"no file or folder {str(path)!r}")
        if path.is_dir():
            return cls.load(path) if is_saved(path) else _from_folder(path, classes)
        require_regular(path)
        if path.suffix.lower() != ".npz":
            raise ValueError(f"{path} is no .npz archive (high, low, labels) and no folder with high/ and low/")
        arrays = read_arrays(path, ("high", "low"), ("labels",))
        high, low = (input_tensor(arrays[view], role=view) for view in ("high", "low"))
        labels, names = torch.full((len(high),), -1), None
        if "labels" in arrays:
            labels, names = label_column(arrays["labels"], classes, unlabelled=True)
        return cls(high, low, labels, path.stem, names)


def _from_folder(path: Path, classes: Names) -> PairedViews:
    for view in ("high", "low"):
        if not (path / view).is_dir():
            raise ValueError(f"{path} has no sub-folder {view!r}; pairs are images of the same names in high/ and low/")
    high, labels = found_images(path / "high")
    low, _ = found_images(path / "low")
    kept = [
        [image.relative_to(path / view).with_suffix("") for image in found]
        for view, found in (("high", high), ("low", low))
    ]
    if kept[0] != kept[1]:
        lonely = min(set(kept[0]) ^ set(kept[1]), default=kept[0][0])
        raise ValueError(
            f"{path}: {lonely} is not in both high/ and low/ exactly once; every image needs its other view"
        )
    views = [input_tensor(stack_images(found), role=view) for view, found in (("high", high), ("low", low))]
    column, names = torch.full((len(high),), -1), None
    if labels is not None:
        column, names = label_column(labels, classes)
    return PairedViews(views[0], views[1], column, path.resolve().name, names)
