"""The zip archives that torch writes: read with `zipfile` and not with torch, so that they can be checked.

What was checked is packed again and that copy is handed to torch. Two readers of zip files may see different
things in one file; here torch sees exactly what was checked.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path

from privkd.errors import CheckpointError

WAYS_OUT = (
    "Ways out: privkd.teachers.save_teacher(module, 'teacher.safetensors'), torch.export.save(...) to a "
    ".pt2 file, or the teacher as 'module:function', a function of yours that builds it"
)


_MAX_TEXT = 64 * 2**20  # bytes that compressed entries may unfold to: sources, which torch alone compresses


def read_members(path: Path) -> dict[str, bytes]:
    """Every file of an archive, by its name below the archive's one root folder.

    Raises:
        CheckpointError: not a zip archive, a damaged one, one name twice, more than one root folder, or entries that
            unfold to more than the file's size and 64 MiB of sources.
    """
    if not zipfile.is_zipfile(path):
        raise CheckpointError(
            f"{path} is no zip archive, so neither TorchScript nor torch.export wrote it (or it was cut). "
            "Older torch.save files and plain pickles look so; they can run code when opened and are "
            f"refused. {WAYS_OUT}"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [info for info in archive.infolist() if not info.is_dir()]
            names = [info.filename for info in entries]
            if len(set(names)) != len(names):
                raise CheckpointError(f"{path} holds one name twice, which torch never writes; it is refused")
            if len({name.partition("/")[0] for name in names}) != 1:
                raise CheckpointError(
                    f"{path} has no single root folder: not TorchScript, and not torch.export of torch >= "
                    f"2.8. {WAYS_OUT}"
                )
            _refuse_bombs(entries, path)
            return {info.filename.partition("/")[2]: _content(archive, info) for info in entries}
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        RuntimeError,
        ValueError,
        NotImplementedError,
    ) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error


def _refuse_bombs(entries: list[zipfile.ZipInfo], path: Path) -> None:
    """Torch stores tensors as they are and compresses (deflate) the sources of TorchScript only."""
    unknown = {info.compress_type for info in entries} - {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
    if unknown:
        raise CheckpointError(f"{path} uses zip methods {sorted(unknown)}, which torch never writes; it is refused")
    for method, most in ((zipfile.ZIP_STORED, path.stat().st_size), (zipfile.ZIP_DEFLATED, _MAX_TEXT)):
        size = sum(info.file_size for info in entries if info.compress_type == method)
        if size > most:
            raise CheckpointError(
                f"{path} would unfold to {size} bytes where at most {most} are plausible (a zip bomb); it was not "
                f"unpacked. {WAYS_OUT}"
            )


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """One entry. The stated size is also the limit, because an entry may unfold to more than it states."""
    with archive.open(info) as stream:
        content = stream.read(info.file_size + 1)
    if len(content) != info.file_size:
        raise zipfile.BadZipFile(f"{info.filename} has another size than stated")
    return content


def packed(members: dict[str, bytes]) -> io.BytesIO:
    """An archive in memory with these files and nothing else."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"archive/{name}", content)
    buffer.seek(0)
    return buffer


def first_line(error: BaseException) -> str:
    """What torch says in its first line; the rest is a trace of its own sources."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
