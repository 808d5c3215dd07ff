"""Ledger files: a strict reader, and a writer that never leaves half a file behind."""

import json
import os
import stat
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from accountants.check import shown
from accountants.errors import LedgerError
from accountants.events.serialization import MAX_DEPTH
from accountants.ledger.chain import LISTS, header_of
from accountants.ledger.files import is_deeper, open_regular, replacing, strict_json

MAX_BYTES = 64 * 2**20
_MAX_VALUES = 2_000_000  # of a file; each takes up to some hundred bytes of memory
_MAX_DEPTH = 2 * MAX_DEPTH + 10  # objects and lists of nested events, and the entry around them


def read_document(path: str | Path) -> dict[str, object]:
    """The JSON object in a file, refusing everything that JSON readers disagree about.

    Args:
        path: a regular file, UTF-8 JSON of at most 64 MiB, two million values and 210 levels.

    Returns:
        The object, numbers finite and keys unique at every level.

    Raises:
        LedgerError: the file is too large, no regular file, no UTF-8 or no such JSON object.
        OSError: the file cannot be read.
    """
    path = Path(path)
    name = shown(path.name)
    content = _content(path, name)
    if sum(content.count(mark) for mark in (b",", b"[", b"{")) > _MAX_VALUES:
        raise LedgerError(f"{name}: more than {_MAX_VALUES} values, which no ledger needs; it was not read")
    try:
        document = strict_json(content)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise LedgerError(f"{name}: no valid JSON ({type(error).__name__}: {shown(str(error))})") from None
    except ValueError as error:
        raise LedgerError(f"{name}: {error}") from None
    if not isinstance(document, dict):
        raise LedgerError(f"{name}: a ledger is a JSON object, not {type(document).__name__}")
    if is_deeper(document, _MAX_DEPTH):
        raise LedgerError(f"{name}: nested deeper than {_MAX_DEPTH} levels, which no ledger needs")
    return document


def require_no_other_heir(path: Path, header: Mapping[str, object], known: Collection[str]) -> None:
    """Refuse to overwrite a file in which somebody else has continued the same ledger, or a budget that others share.

    Args:
        path: where a ledger is about to be written.
        header: its header.
        known: the heads that it had when it was read or saved; a ledger that never was may replace any that is not shared.

    Raises:
        LedgerError: the file has the same header and a head that is not known, or is a shared ledger and another one.
    """
    try:
        found = read_document(path)
    except (OSError, LedgerError):
        return  # nothing there that anybody could have continued
    name, is_same = shown(path.name), header_of(found) == dict(header)
    if is_same and known and found.get("head") not in known:
        raise LedgerError(
            f"{name}: somebody else has continued this ledger since it was read or saved here, and those "
            "entries would be lost; nothing was written. Only one reader of a file may go on charging, because each would "
            "spend the whole budget again: read the file and charge that ledger, or use Ledger.open, which several may"
        )
    if found.get("filter") is not None and not (is_same and known):
        raise LedgerError(
            f"{name}: this is the ledger of a shared budget, and what was spent of it would be forgotten; nothing was written. "
            "Save under another name, or use Ledger.open to charge it"
        )


def write_document(path: Path, document: Mapping[str, object]) -> None:
    """Write JSON so that at any moment the path holds either the old content or all of the new one.

    The caller holds the lock of the path, so that what a killed program left half-written may be taken away.

    Raises:
        LedgerError: the document is larger than the reader accepts.
        OSError: the folder cannot be written.
    """
    content = "".join(_lines(document)).encode("ascii")
    if len(content) > MAX_BYTES:
        raise LedgerError(
            f"{shown(path.name)}: {len(content)} bytes, above {MAX_BYTES}; charge repeated events with count="
        )
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    with replacing(path, temporary) as file:
        file.write(content)
        with suppress(OSError):  # a file that several people share stays theirs
            os.chmod(temporary, stat.S_IMODE(os.stat(path).st_mode))


def _lines(document: Mapping[str, object]) -> Iterator[str]:
    """JSON with one line per header field and per entry: the encoder for whole objects is the fast one."""
    separator = "{"
    for name, value in document.items():
        yield f"{separator}\n {_encoded(name)}: "
        if name in LISTS and isinstance(value, list) and value:
            yield "[\n  " + ",\n  ".join(map(_encoded, value)) + "\n ]"
        else:
            yield _encoded(value)
        separator = ","
    yield "\n}\n"


def _encoded(value: object) -> str:
    return json.dumps(value, ensure_ascii=True, allow_nan=False)


def _content(path: Path, name: str) -> bytes:
    descriptor = open_regular(path)
    if descriptor is None:
        raise LedgerError(f"{name}: no regular file; a ledger is read from a file only")
    with open(descriptor, "rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise LedgerError(f"{name}: larger than {MAX_BYTES} bytes, which no ledger needs; it was not read")
    return content
