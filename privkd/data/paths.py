"""Names of files that stand in other people's files: they stay inside the folder that they belong to."""

from pathlib import Path, PurePosixPath, PureWindowsPath


def inside(folder: Path, name: str, *, what: str) -> Path:
    """The path of a name below a folder.

    Args:
        folder: that the path must be in, also after links are followed.
        name: relative, with forward slashes.
        what: whose name it is, for the message, which does not quote it.

    Raises:
        ValueError: it is empty, absolute, holds "..", control characters or backslashes, or leads out of the folder by a link.

    Example:
        >>> inside(Path("a"), "b/c.png", what="row 0").as_posix()
        'a/b/c.png'
        >>> inside(Path("a"), "../c.png", what="row 0")
        Traceback (most recent call last):
        ...
        ValueError: row 0 must be a relative path below its folder, without '..', backslashes and control characters
    """
    pure = PurePosixPath(name)
    plain = name.isprintable() and "\\" not in name and not PureWindowsPath(name).drive
    if not name or not plain or pure.is_absolute() or ".." in pure.parts or not pure.parts:
        raise ValueError(
            f"{what} must be a relative path below its folder, without '..', backslashes and control characters"
        )
    path = folder / pure
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{what} leads out of its folder by a link")
    return path
