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


def read_members(path: Path) -> dict[str, bytes]:
    """Every file of an archive, by its name below the archive's one root folder.

    Raises:
        CheckpointError: not a zip archive, a damaged one, one name twice, or more than one root folder.
    """
    if not zipfile.is_zipfile(path):
        raise CheckpointError(
            f"{path} is no zip archive, so neither TorchScript nor torch.export wrote it (or it was cut). "
            "Older torch.save files and plain pickles look so; they can run code when opened and are "
            f"refused. {WAYS_OUT}"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
            if len(set(names)) != len(names):
                raise CheckpointError(f"{path} holds one name twice, which torch never writes; it is refused")
            if len({name.partition("/")[0] for name in names}) != 1:
                raise CheckpointError(
                    f"{path} has no single root folder: not TorchScript, and not torch.export of torch >= "
                    f"2.8. {WAYS_OUT}"
                )
            return {name.partition("/")[2]: archive.read(name) for name in names}
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
