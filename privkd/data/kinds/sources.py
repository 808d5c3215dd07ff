"""One function that reads a source as the kind of data that a system asks for."""

from __future__ import annotations

from typing import Any, TypeVar

from privkd.data.kinds.kind import Kind
from privkd.data.loading import load
from privkd.data.records import Records

Rows = TypeVar("Rows", bound=Kind | Records)


def read(kind: type[Rows], source: Any, **options: Any) -> Rows:
    """A source as one kind of data.

    Args:
        kind: `Records`, which `load` reads, or another kind, whose own `read` does.
        source: a path; for `Records` whatever `load` takes. Data of the kind are returned as they are, without options.
        **options: of that reader.

    Raises:
        TypeError: `kind` is no kind of data, or its reader has no such option.
        ValueError: the content cannot be used as this kind; the message of the reader says why.
        FileNotFoundError: there is nothing at the path.

    Example:
        >>> read(Records, ([[0.0], [1.0]], [0, 1]))
        Records(name='arrays', n=2, shape=(1,), labelled)
    """
    if not isinstance(kind, type) or not issubclass(kind, Kind | Records):
        raise TypeError(f"kind (a {type(kind).__name__}) must be Records or one of the other kinds of privkd.data")
    if isinstance(source, kind) and not options:
        return source
    reader: Any = load if issubclass(kind, Records) else kind.read
    return reader(source, **options)
