"""Answers that were paid for, on disk: a transcription that is interrupted goes on without paying again.

A folder holds every noisy answer and the ledger that they were charged to. It holds nothing private: what is in it was released.
"""

from __future__ import annotations

import os
import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from weakref import WeakKeyDictionary

from torch import Tensor

from accountants import Ledger
from privkd import storage
from privkd.errors import CheckpointError
from privkd.trainer.checkpoints.same_run import digest_of

_names: WeakKeyDictionary[Ledger, str] = WeakKeyDictionary()
_SCHEMA = "privkd.paid/1"
_LEDGER, _ABOUT, _ANSWERS = "ledger.json", "request.json", "answers.safetensors"


class PaidAnswers:
    """The answers of one transcription, in the order in which they were released.

    Args:
        folder: where they are kept; None keeps them in memory only.
        request: public facts that tell this transcription from others.
        shared: the ledgers that count everything from the same data. Answers that were counted in others are counted in these,
            too.
        is_charged: whether every answer is charged to the ledger of the transcription.

    Raises:
        CheckpointError: the folder holds answers of another transcription, or was damaged.
        BudgetExceeded: a shared ledger has no room for what was paid elsewhere.
    """

    def __init__(
        self, folder: Path | None, request: Mapping[str, Any], shared: Sequence[Ledger] = (), *, is_charged: bool = True
    ) -> None:
        self.folder, self.request, self._shared, self._is_charged = folder, dict(request), tuple(shared), is_charged
        self._answers: list[Tensor] = []
        self._asked: list[str | None] = []
        self._counted: set[str] = set()
        self._given = 0
        self._ledger: Ledger | None = None
        if folder is not None and (folder / _ABOUT).exists():
            self._read(folder)
            self._count(self._ledger)

    @property
    def ledger(self) -> Ledger | None:
        """The ledger of the answers that are there already; None if there are none."""
        return self._ledger

    def released(self, asked: Tensor, ledger: Ledger, release: Callable[[], Tensor]) -> Tensor:
        """The answers to a question, by its public part: those that were paid for, or new ones, kept before they are given.

        New ones come from `release`, which charges the ledger.

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
        before = [*self._asked]
        self._answers.append(answers.clone())
        self._asked.append(digest)
        self._write(ledger, before)
        return answers

    def _write(self, ledger: Ledger, before: list[str | None]) -> None:
        if self.folder is None:
            return
        from safetensors.torch import save_file

        self._counted |= {_name_of(shared) for shared in self._shared}
        about = {"schema": _SCHEMA, "request": self.request, "asked": self._asked, "counted": sorted(self._counted)}
        with storage.draft_of(self.folder, allowed=lambda: self._require(before)) as draft:
            ledger.save(draft / _LEDGER)
            save_file({f"{i:06d}": answers for i, answers in enumerate(self._answers)}, str(draft / _ANSWERS))
            storage.write_json(draft / _ABOUT, about)

    def _require(self, before: list[str | None]) -> None:
        """Refuse to write over something else, or over what another call has paid for in the meantime."""
        folder = cast(Path, self.folder)
        there: object = []
        if os.path.lexists(folder) and any(folder.iterdir()):
            if not (folder / _ABOUT).is_file():
                raise FileExistsError(f"{folder} exists and holds no paid answers; choose another folder")
            there = storage.read_json(folder / _ABOUT, dict).get("asked")
        if there != before:
            raise CheckpointError(
                f"{folder}: another call has paid for answers there while this one was at work, whose own are thrown away. One "
                "call at a time may use a folder"
            )

    def _count(self, ledger: Ledger | None) -> None:
        """Charge what was paid to the shared ledgers that do not have it: too often, if in doubt, and never too rarely."""
        paid = Counter((charge.where, charge.event) for charge in ledger.charges) if ledger is not None else Counter()
        missing = False
        for shared in self._shared:
            shared.refresh()
            there = Counter((charge.where, charge.event) for charge in shared.charges)
            if _name_of(shared) in self._counted and not paid - there:
                continue
            for (where, event), count in paid.items():
                for _ in range(count):
                    shared.charge(event, where=where)
            missing = True
        if missing and ledger is not None:
            self._write(ledger, self._asked)

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
            self._counted = {str(name) for name in about["counted"]}
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
        if self._is_charged and len(self._ledger.charges) != len(asked):
            raise CheckpointError(
                f"{folder} holds {len(asked)} answers, and its ledger {len(self._ledger.charges)} charges: it was changed"
            )
        self._asked, self._answers = [*asked], [found[name] for name in sorted(found)]


def _name_of(ledger: Ledger) -> str:
    """What tells a ledger from others: its file, or a name for as long as the object lives."""
    return str(ledger.path) if ledger.path is not None else _names.setdefault(ledger, secrets.token_hex(8))


def seed_of(folder: Path | None) -> int | None:
    """The public seed of the transcription whose answers lie in a folder; None if there are none."""
    if folder is None or not (folder / _ABOUT).is_file():
        return None
    seed = storage.read_json(folder / _ABOUT, dict).get("request", {}).get("seed")
    return seed if isinstance(seed, int) and not isinstance(seed, bool) else None
