"""What a run reports while it goes on and when it is over: history, `metrics.jsonl`, trackers and certificate."""

from __future__ import annotations

import errno
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from accountants.ledger.disclosures import Disclosure, Kind, disclose_once
from privkd.errors import CheckpointError
from privkd.storage import write_json
from privkd.trainer.checkpoints.same_run import SETTINGS
from privkd.trainer.history import History, Row
from privkd.trainer.settings import TrainerSettings

if TYPE_CHECKING:
    from accountants import Ledger
    from privkd.certificates.certificate import Certificate
    from privkd.trainer.devices.accelerated import Trackers


class Reports:
    """The history of a run, and what of it goes into the run's folder and to trackers.

    Args:
        settings: of the run.
        is_writing: whether this process writes; of several the first one does.
    """

    def __init__(self, settings: TrainerSettings, *, is_writing: bool) -> None:
        self.history, self._settings = History(), settings
        self._folder = Path(settings.folder) if settings.folder is not None and is_writing else None
        self._trackers: Trackers | None = None

    def open(self) -> None:
        """Begin to write. What a killed run wrote into `metrics.jsonl` after its last checkpoint is dropped.

        Raises:
            CheckpointError: `metrics.jsonl` could not be written.
        """
        self._write(self.history.rows, "wb")
        if self._folder is not None and self._settings.trackers:
            from privkd.trainer.devices.accelerated import Trackers

            shown = {name: getattr(self._settings, name) for name in SETTINGS}
            self._trackers = Trackers(self._settings.trackers, self._folder, shown)

    def add(self, row: Row) -> None:
        """Report a row.

        Raises:
            CheckpointError: `metrics.jsonl` could not be written.
        """
        self.history.rows.append(row)
        self._write([row], "ab")
        if self._trackers is not None:
            self._trackers.log(row)

    def disclose(self, ledger: Ledger | None) -> None:
        """Write into the ledger that the run writes down what nothing protects, before it does."""
        if ledger is None or not self._settings.unsafe_logging:
            return
        leak = "losses and logs of private records were written down without noise (unsafe_logging)"
        disclose_once(ledger, Disclosure(Kind.LEAK, leak))
        self.history.leaks = (leak,)

    def certify(self, certificate: Certificate, modules: Mapping[str, nn.Module]) -> None:
        """Report what a finished run guarantees about its modules; certificate and ledger go beside the checkpoints."""
        self.history.certify(certificate, modules)
        if self._folder is not None:
            assert certificate.ledger is not None
            certificate.sealed()
            certificate.ledger.save(self._folder / "ledger.json")
            write_json(self._folder / "certificate.json", certificate.to_dict())

    def close(self) -> None:
        """Let the trackers write what is left."""
        if self._trackers is not None:
            self._trackers.finish()

    def _write(self, rows: Sequence[Row], mode: str) -> None:
        if self._folder is None:
            return
        path = self._folder / "metrics.jsonl"
        try:
            with path.open(mode) as file:
                file.write(b"".join(_line(row) for row in rows))
        except OSError as error:
            why = "the disk is full" if error.errno == errno.ENOSPC else str(error)
            raise CheckpointError(
                f"{path} was not written: {why}; earlier checkpoints are whole: make room and start the run again to go "
                "on from the latest"
            ) from error


def _line(row: Row) -> bytes:
    """JSON knows no infinities and no NaN: they become strings."""
    plain = {
        name: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in row.items()
    }
    return json.dumps(plain).encode() + b"\n"
