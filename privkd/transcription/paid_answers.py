"""Answers that were paid for, on disk: a transcription that is interrupted goes on without paying again.

One file holds every noisy answer and the ledger that they were charged to. It holds nothing private: what is in it was released.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from accountants import Ledger
from privkd import storage
from privkd.errors import CheckpointError
from privkd.trainer.fingerprint import digest_of

_SCHEMA = "privkd.paid/1"
_LEDGER, _ABOUT, _ANSWERS = "ledger.json", "request.json", "answers.safetensors"


class PaidAnswers:
    """The answers of one transcription, in the order in which they were released.

    Args:
        folder: where they are kept; None keeps them in memory only.
        request: public facts that tell this transcription from others.

    Raises:
        CheckpointError: the folder holds answers of another transcription, or was damaged.
    """

    def __init__(self, folder: Path | None, request: Mapping[str, Any]) -> None:
        self.folder, self.request = folder, dict(request)
        self._answers: list[Tensor] = []
        self._asked: list[str | None] = []
        self._given = 0
        self._ledger: Ledger | None = None
        if folder is not None and (folder / _ABOUT).exists():
            self._read(folder)

    @property
    def ledger(self) -> Ledger | None:
        """The ledger of the answers that are there already; None if there are none."""
        return self._ledger

    def released(self, asked: Tensor, ledger: Ledger, release: Callable[[], Tensor]) -> Tensor:
        """The answers to what is asked: those that were paid for, or new ones, which are kept before they are given.

        Args:
            asked: the public part of the question, such as the queries.
            ledger: of this release; `release` charges it.
            release: asks the mechanism.

        Raises:
            CheckpointError: other answers were paid for at this place.
        """
        place, digest = self._given, digest_of((asked,))
        self._given += 1
        if place < len(self._answers):
            if self._asked[place] != digest:
                raise CheckpointError(
                    f"{self.folder}: the answers there were given to other queries (another version, seed or student); nothing was "
                    "charged. Choose another folder to pay for new ones"
                )
            return self._answers[place].clone()
        answers = release()
        self._answers.append(answers.clone())
        self._asked.append(digest)
        self._write(ledger)
        return answers

    def _write(self, ledger: Ledger) -> None:
        if self.folder is None:
            return
        from safetensors.torch import save_file

        about = {"schema": _SCHEMA, "request": self.request, "asked": self._asked}
        with storage.draft_of(self.folder, allowed=lambda: _require_ours(self.folder)) as draft:
            ledger.save(draft / _LEDGER)
            save_file({f"{i:06d}": answers for i, answers in enumerate(self._answers)}, str(draft / _ANSWERS))
            storage.write_json(draft / _ABOUT, about)

    def _read(self, folder: Path) -> None:
        from safetensors import SafetensorError
        from safetensors.torch import load

        storage.put_back(folder)
        try:
            about = storage.read_json(folder / _ABOUT, dict)
            with storage.opened(folder / _ANSWERS) as file:
                found = load(file.read())
            asked = [str(digest) for digest in about["asked"]]
            if about["schema"] != _SCHEMA or len(found) != len(asked):
                raise CheckpointError(f"{folder} holds no paid answers of this version")
            self._ledger = Ledger.read(folder / _LEDGER)
        except (KeyError, TypeError, SafetensorError, OSError) as error:
            raise CheckpointError(f"{folder} holds damaged answers: {type(error).__name__}: {error}") from error
        other = sorted(
            name for name in {*about["request"], *self.request} if about["request"].get(name) != self.request.get(name)
        )
        if other:
            raise CheckpointError(
                f"{folder} holds the answers of another transcription; different: {', '.join(other)}. Give the same "
                "arguments to go on, or another folder"
            )
        self._asked, self._answers = [*asked], [found[name] for name in sorted(found)]


def _require_ours(folder: Path | None) -> None:
    if folder is not None and os.path.lexists(folder) and any(folder.iterdir()) and not (folder / _ABOUT).is_file():
        raise FileExistsError(f"{folder} exists and holds no paid answers; choose another folder")


def seed_of(folder: Path | None) -> int | None:
    """The public seed of the transcription whose answers lie in a folder; None if there are none."""
    if folder is None or not (folder / _ABOUT).is_file():
        return None
    seed = storage.read_json(folder / _ABOUT, dict).get("request", {}).get("seed")
    return seed if isinstance(seed, int) and not isinstance(seed, bool) else None
