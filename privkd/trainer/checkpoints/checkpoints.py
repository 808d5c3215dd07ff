"""Checkpoints of a run: written whole or not at all, checksummed, the last few kept, damaged ones put aside.

A checkpoint is a folder `step-000000120` with tensors (safetensors), everything else (JSON) and checksums of both; no
pickles, so that reading one cannot run code. Every change is one renaming, so that whenever the process is killed, the
folder holds what was there before or what should be there after, perhaps under another name:

| name | what it is |
|---|---|
| `.unfinished-step-...` | being written; as good as any other once its checksums hold |
| `.replaced-step-...` | was there when one of the same step was written |
| `.discarded-step-...` | being deleted; never read |
| `damaged-step-...` | did not match its checksums; never read, the last few are kept for whoever looks into it |
"""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from accountants import check
from privkd.errors import CheckpointError
from privkd.plain import plain
from privkd.storage import flush, sha256_of
from privkd.trainer.checkpoints import folder as run_folder
from privkd.trainer.checkpoints.state_format import packed, require_storable, unpacked

log = logging.getLogger("privkd")

_FILES = ("tensors.safetensors", "state.json")
_SUMS = "checksums.json"
_DAMAGE = (
    *(FileNotFoundError, NotADirectoryError, IsADirectoryError, CheckpointError),  # no regular file where one should be
    *(ValueError, KeyError, TypeError, SafetensorError),
)
_PREFIXES = ("step-", ".unfinished-step-", ".replaced-step-")  # of one step, the first that is whole is read
_LEFTOVERS = (".unfinished-", ".replaced-", ".discarded-")
_DAMAGED = "damaged-"
_DAMAGED_KEPT = 3


class _Candidate(NamedTuple):
    """What may be a whole checkpoint; the greatest is read first."""

    step: int
    preference: int
    path: Path

    @property
    def is_settled(self) -> bool:
        """Whether it has the name of a checkpoint."""
        return self.preference == 0


class Checkpoints:
    """The checkpoints of one run in one folder.

    One run at a time may write: it holds the folder for as long as it goes on. Anyone may read; only who holds the folder
    puts damaged checkpoints aside and deletes what a killed run left behind.

    Args:
        folder: made if it does not exist.
        keep: how many of the latest stay, >= 1.

    Raises:
        CheckpointError: the folder is a file or cannot be made.
    """

    def __init__(self, folder: str | Path, *, keep: int = 3) -> None:
        self.keep = plain(keep)
        check.integer(keep=self.keep, at_least=1)
        self.folder = run_folder.made(folder)
        self._owner: int | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other runs out until the block ends or the process does, however it ends.

        Raises:
            CheckpointError: another run holds the folder, or it cannot be written.
        """
        with run_folder.held(self.folder):
            self._owner = os.getpid()  # a forked copy does not hold it
            try:
                yield
            finally:
                self._owner = None

    def save(self, step: int, state: Mapping[str, Any]) -> Path:
        """Write a checkpoint and drop the oldest beyond `keep`; never this one. Holds the folder, if the caller does not.

        Args:
            step: of the whole run, >= 0; the name. One of the same step is replaced.
            state: dense real tensors, numpy arrays (which come back as tensors), numbers, strings, None, in dicts, lists and
                tuples.

        Raises:
            TypeError: something else is in the state; the message names where.
            CheckpointError: the disk is full, the folder cannot be written, is gone, or held by another run; earlier
                checkpoints are untouched.
        """
        step = plain(step)
        check.integer(step=step, at_least=0)
        require_storable(state)
        tensors: dict[str, Tensor] = {}
        text = json.dumps(packed(state, tensors))
        final = self._path(step)
        unfinished = self.folder / f".unfinished-{final.name}"
        with self._holding():
            try:
                _write(unfinished, tensors, text)
                self._settle(unfinished, final)
            except (OSError, SafetensorError) as error:
                self._take_back(unfinished, final)
                raise CheckpointError(self._unwritten(step, error)) from error
            earlier = [number for number in self.steps() if number < step]
            for number in earlier[: max(0, len(earlier) - self.keep + 1)]:
                self._discard(self._path(number))
        return final

    def steps(self) -> list[int]:
        """Steps of the checkpoints there are, rising.

        Raises:
            CheckpointError: the folder is not there any more, or cannot be read.
        """
        return [candidate.step for candidate in reversed(self._candidates()) if candidate.is_settled]

    def latest(self) -> tuple[int, dict[str, Any]] | None:
        """Step and state of the latest undamaged checkpoint; None if there is none. Damaged ones are named in the log.

        Who holds the folder finds it in order afterwards: damaged checkpoints moved aside, a whole one that a killed run could
        not rename any more in its place, everything unfinished deleted. For anyone else nothing changes.

        Raises:
            CheckpointError: the folder or a checkpoint in it cannot be read, although it may be whole.
        """
        while True:
            candidates = self._candidates()
            found, damaged = self._first_whole(candidates)
            if not damaged or self._candidates() == candidates:  # else its holder renamed them while they were read
                break
        chosen, state = found or (None, None)
        is_held = self._owner == os.getpid()
        outcome = "no other is whole: the run begins anew" if chosen is None else f"that of step {chosen.step} is used"
        settled = {candidate.path: error for candidate, error in damaged.items() if candidate.is_settled}
        for path, error in settled.items():
            kept = f" and kept as {_DAMAGED}{path.name}" if is_held else ""
            log.warning("checkpoint %s is damaged (%s)%s; %s", path, error, kept, outcome)
        if is_held:
            self._tidy(chosen, list(settled))
        return None if chosen is None or state is None else (chosen.step, state)

    def _holding(self) -> AbstractContextManager[None]:
        return nullcontext() if self._owner == os.getpid() else self.held()

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:09d}"

    def _names(self) -> list[str]:
        try:
            return os.listdir(self.folder)
        except OSError as error:
            why = run_folder.trouble(error, self.folder)[0] if not self.folder.is_dir() else str(error)
            raise CheckpointError(
                f"checkpoints cannot be looked for: {why}; put the folder back or make it readable"
            ) from error

    def _candidates(self) -> list[_Candidate]:
        """Everything that may be a whole checkpoint, the latest first."""
        return sorted(
            (
                _Candidate(int(name.removeprefix(prefix)), -place, self.folder / name)
                for name in self._names()
                for place, prefix in enumerate(_PREFIXES)
                if name.startswith(prefix) and name.removeprefix(prefix).isdecimal()
            ),
            reverse=True,
        )

    def _first_whole(
        self, candidates: list[_Candidate]
    ) -> tuple[tuple[_Candidate, dict[str, Any]] | None, dict[_Candidate, Exception]]:
        """The first that is whole with its state, and those before it with what is wrong."""
        damaged: dict[_Candidate, Exception] = {}
        for candidate in candidates:
            try:
                return (candidate, _read(candidate.path)), damaged
            except _DAMAGE as error:
                damaged[candidate] = error
            except OSError as error:
                if error.errno != errno.EIO:  # not allowed, too many open files, ...: it may be whole
                    raise CheckpointError(
                        f"checkpoint {candidate.path} cannot be read ({error}), but may be whole; make it readable, or move it "
                        "away to go on without it"
                    ) from error
                damaged[candidate] = error
        return None, damaged

    def _settle(self, whole: Path, final: Path) -> None:
        """Give a whole checkpoint its name; the one that had it stays until then."""
        replaced = self.folder / f".replaced-{final.name}"
        if os.path.lexists(final):
            _remove(replaced)  # left by a kill; `final` was written after it
            final.rename(replaced)
        whole.rename(final)
        flush(self.folder)
        shutil.rmtree(replaced, ignore_errors=True)

    def _take_back(self, unfinished: Path, final: Path) -> None:
        """After a failure: the checkpoint that was to be replaced has its name again, and the new one is gone."""
        replaced = self.folder / f".replaced-{final.name}"
        with suppress(OSError):
            if os.path.lexists(replaced) and not os.path.lexists(final):
                replaced.rename(final)
            shutil.rmtree(unfinished, ignore_errors=True)

    def _discard(self, path: Path) -> None:
        """Delete at once or, if the process is killed, later; half a checkpoint never looks like a damaged one."""
        discarded = self.folder / f".discarded-{path.name}"
        shutil.rmtree(discarded, ignore_errors=True)
        with suppress(OSError):  # one too many does no harm
            path.rename(discarded)
        shutil.rmtree(discarded, ignore_errors=True)

    def _tidy(self, chosen: _Candidate | None, damaged: list[Path]) -> None:
        try:
            for path in damaged:
                aside = self.folder / f"{_DAMAGED}{path.name}"
                _remove(aside)
                path.rename(aside)
            if chosen is not None and not chosen.is_settled:
                _flush_all(chosen.path)  # the run that was killed may not have come to it
                self._settle(chosen.path, self._path(chosen.step))
        except OSError as error:
            why, remedy = run_folder.trouble(error, self.folder)
            raise CheckpointError(f"{self.folder} cannot be put in order: {why}; {remedy}") from error
        names = self._names()
        aside = [self.folder / name for name in names if name.startswith(_DAMAGED)]
        with suppress(OSError):
            aside.sort(key=lambda path: path.stat().st_mtime_ns)  # when they were written
        for path in aside[:-_DAMAGED_KEPT] + [self.folder / name for name in names if name.startswith(_LEFTOVERS)]:
            shutil.rmtree(path, ignore_errors=True)

    def _unwritten(self, step: int, error: Exception) -> str:
        """The message for a checkpoint that was not written."""
        why, remedy = run_folder.trouble(error, self.folder)
        fact = f"the checkpoint of step {step} was not written to {self.folder}: {why}"
        if not self.folder.is_dir():
            return f"{fact}, nor are its checkpoints; {remedy}"
        kept = self.steps()
        if not kept:
            return f"{fact}; there is no earlier one: {remedy} and start the run again"
        return f"{fact}; earlier checkpoints are untouched: {remedy} and start the run again to go on from that of step {kept[-1]}"


def _remove(folder: Path) -> None:
    """Make a name free, or say why that is not possible."""
    if os.path.lexists(folder):
        shutil.rmtree(folder)


def _write(folder: Path, tensors: dict[str, Tensor], text: str) -> None:
    """The checksums last: what has them is whole."""
    _remove(folder)  # left by a kill
    folder.mkdir()
    save_file(tensors, folder / _FILES[0])
    (folder / _FILES[1]).write_text(text, encoding="utf-8")
    sums = {name: sha256_of(folder / name) for name in _FILES}
    (folder / _SUMS).write_text(json.dumps(sums), encoding="utf-8")
    _flush_all(folder)


def _read(folder: Path) -> dict[str, Any]:
    sums = json.loads((folder / _SUMS).read_text(encoding="utf-8"))
    for name in _FILES:
        if sums[name] != sha256_of(folder / name):
            raise ValueError(f"{name} does not match its checksum")
    return unpacked(json.loads((folder / _FILES[1]).read_text(encoding="utf-8")), load_file(folder / _FILES[0]))


def _flush_all(folder: Path) -> None:
    for path in (*folder.iterdir(), folder):
        flush(path)
