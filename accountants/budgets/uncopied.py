"""Objects of which there may be only one: a copy would let the same budget be spent twice."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from accountants.errors import LedgerError


class Uncopied:
    """Base of objects that refuse to be copied or pickled, and to be changed by a forked process."""

    def _note_process(self) -> None:
        """Note this process, which alone may change the object, and make a lock for its threads."""
        self._process = os.getpid()
        self._free()

    def _free(self) -> None:
        """Let go of whatever a thread holds, which in a forked process would never let go itself."""
        self._lock = threading.RLock()
        self._is_changing = False

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the object for one change.

        Raises:
            LedgerError: the same thread is in the middle of another change, which would overwrite this one.
        """
        with self._lock:
            if self._is_changing:
                raise LedgerError(
                    f"this {type(self).__name__} is being charged, and the same thread asked for another charge meanwhile, for "
                    "example in a signal handler; nothing was charged: ask again when the first charge is done"
                )
            self._is_changing = True
            try:
                yield
            finally:
                self._is_changing = False

    def __copy__(self) -> NoReturn:
        self._refuse("copied")

    def __deepcopy__(self, memo: object) -> NoReturn:
        self._refuse("copied")

    def __reduce__(self) -> NoReturn:
        self._refuse("pickled or sent to another process")

    def _refuse(self, done: str) -> NoReturn:
        name = type(self).__name__
        article = "an" if name[0] in "AEIOU" else "a"
        raise TypeError(
            f"{article} {name} cannot be {done}: each copy would accept the whole budget again. Pass the {name} itself, charge "
            "it in the process that opened it and send the noisy answers; to look at a Ledger elsewhere, save and read it"
        )

    def _require_own_process(self) -> None:
        """Refuse a change in a forked process, which the process that opened the object would never see.

        Raises:
            LedgerError: this process did not open the object.
        """
        if os.getpid() != self._process:
            raise LedgerError(
                f"this {type(self).__name__} was opened in process {self._process} and is used in process "
                f"{os.getpid()} after a fork: what is charged here would be lost there. Charge before forking, or send "
                "the request to the process that opened it; nothing was charged"
            )
