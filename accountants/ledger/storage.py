"""Ledger files: a strict reader, and a writer that never leaves half a file behind."""

import json
import math
import os
import secrets
from collections.abc import Collection, Mapping
from pathlib import Path

from accountants.errors import LedgerError
from accountants.ledger.chain import header_of

__all__ = ["MAX_BYTES", "read_document", "require_no_other_heir", "write_document"]

MAX_BYTES = 64 * 2**20


def read_document(path: str | Path) -> dict[str, object]:
    """The JSON object in a file, refusing everything that JSON readers disagree about.

    Args:
        path: UTF-8 JSON of at most 64 MiB.

    Returns:
        The object, numbers finite and keys unique at every level.

    Raises:
        LedgerError: the file is too large, no UTF-8 or no such JSON object.
        OSError: the file cannot be read.
    """
    path = Path(path)
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise LedgerError(f"{path.name}: larger than {MAX_BYTES} bytes, which no ledger needs; it was not read")
    try:
        document = json.loads(
            content.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refused, parse_float=_finite
        )
    except LedgerError as error:
        raise LedgerError(f"{path.name}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise LedgerError(f"{path.name}: no valid JSON ({type(error).__name__}: {error})") from None
    if not isinstance(document, dict):
        raise LedgerError(f"{path.name}: a ledger is a JSON object, not {type(document).__name__}")
    return document


def require_no_other_heir(path: str | Path, header: Mapping[str, object], known: Collection[str]) -> None:
    """Refuse to overwrite a file in which somebody else has continued the same ledger.

    Args:
        path: where a ledger is about to be written.
        header: its header.
        known: the heads that it had when it was read or saved; nothing is refused to a ledger that never was.

    Raises:
        LedgerError: the file has the same header and a head that is not known.
    """
    if not known:
        return
    try:
        found = read_document(path)
    except (OSError, LedgerError):
        return  # nothing there that anybody could have continued
    if header_of(found) == dict(header) and found.get("head") not in known:
        raise LedgerError(
            f"{Path(path).name}: somebody else has continued this ledger since it was read or saved here, and those "
            "entries would be lost; nothing was written. Only one reader of a file may go on charging, because each would "
            "spend the whole budget again: read the file and charge that ledger"
        )


def write_document(path: str | Path, document: Mapping[str, object]) -> None:
    """Write JSON so that at any moment the path holds either the old content or all of the new one.

    Raises:
        LedgerError: the document is larger than the reader accepts.
        OSError: the folder cannot be written.
    """
    path = Path(path)
    content = json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False).encode("ascii")
    if len(content) > MAX_BYTES:
        raise LedgerError(f"{path.name}: {len(content)} bytes, above {MAX_BYTES}; charge repeated events with count=")
    # Same folder, because a rename is atomic only within one file system.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the system allows opening a folder."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise LedgerError(f"key {double!r} occurs twice in one object")
    return found


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise LedgerError(f"number {text[:40]} is too large")
    return value


def _refused(token: str) -> float:
    raise LedgerError(f"{token} is no JSON number")
