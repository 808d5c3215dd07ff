"""The ledgers of one private run: what is charged where, what its certificate is about, and that it ends once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from accountants import Ledger
from accountants.ledger.disclosures import disclose_seeded, is_seeded
from privkd.certificates.leaks import carry_leaks
from privkd.certificates.other_releases import about_others
from privkd.certificates.scopes import rounded_up
from privkd.errors import CheckpointError, LedgerError
from privkd.private_training.clipping.opacus import GUARDED
from privkd.trainer.gradient_source import Setting

if TYPE_CHECKING:
    from privkd.private_training.settings import Plan, PrivateGradients

__all__ = ["RunLedgers", "for_ledger"]


class RunLedgers:
    """The ledger that a run's certificate is stated from, and the caller's, where there is one.

    The whole run is charged before anything is drawn; a run that goes on is not charged again. A common ledger that lies in
    a file or has a budget is one of everything that is done to the records, by whoever: the certificate is about this run
    alone, and names what all of them cost together. Any other common ledger is that of one plan, such as noisy statistics
    and the training on them: the certificate is about all that was charged there until then, as a plan.

    Args:
        settings: under the adjacency of the common ledger, see `for_ledger`.
        setting: what the run says of itself.
        plan: what it costs.
        run: its name in ledgers.
        releases: how many steps it has released already.

    Raises:
        BudgetExceeded: a ledger refuses; nothing was drawn.
        LedgerError: the ledger in the folder is not that of this run; nothing was charged.
        CheckpointError: the run ended already, and would be continued from an earlier step.
    """

    def __init__(self, settings: PrivateGradients, setting: Setting, plan: Plan, *, run: str, releases: int) -> None:
        self._settings, self._setting, self._plan = settings, setting, plan
        self._where = f"private gradients of run {run}"
        self._ended = f"{self._where}: all steps were released"
        self._path = None if setting.folder is None else setting.folder / "ledger.json"
        self.common = setting.ledger
        if setting.resumed is None:
            self._require_free()
        elif releases < setting.steps:
            self._require_not_ended(releases)
        if self.common is not None:
            self._charge_common(self.common)
        self.own = self._opened(self.common)
        if settings.strategy == "opacus" and GUARDED not in self.own.disclosed:
            self.own.disclose(GUARDED)
        if not settings.source.secure:
            disclose_seeded(self.own)
        if self.common is None and self._path is not None and self._is_first:
            self.own.save(self._path)

    def conditions(self) -> tuple[str, ...]:
        """What must be true of all releases from the records."""
        delta, shared = self._settings.delta, () if self.common is None else (self.common,)
        others = about_others(shared, len(self.own.charges), delta)
        if len(self.own.charges) == 1:
            return (others,)
        chosen = rounded_up(self.own.adaptive_epsilon(delta))
        return (
            "kinds and sizes of all releases in this ledger were fixed in advance (however they were chosen: epsilon <= "
            f"{chosen} at delta = {rounded_up(delta)})",
            others,
        )

    def end(self, *, is_new: bool) -> None:
        """Note that all steps were released, so that no other end of this run is released under the same charge.

        Args:
            is_new: whether steps were released since the run began or went on.

        Raises:
            CheckpointError: a copy of the run ended already, with other noise.
        """
        if self.common is not None and self._is_first:
            self.common.refresh()
            if self._ended not in self.common.disclosed:
                self.common.disclose(self._ended)
            elif is_new:
                raise self._ended_already("this is a copy of it, with noise of its own")
        if self._ended not in self.own.disclosed:
            self.own.disclose(self._ended)

    @property
    def _is_first(self) -> bool:
        return self._setting.engine.process[0] == 0

    def _require_free(self) -> None:
        """A new run would write its own ledger over another one. Other processes may find that of the first one of this run."""
        if self._is_first and self._path is not None and self._path.exists():
            raise LedgerError(
                f"{self._path} is of an earlier run, and there is no checkpoint to go on from: what that run released stays "
                "released. Choose another folder; to count both, give Ledger.read(...) of it as ledger"
            )

    def _require_not_ended(self, releases: int) -> None:
        """Going on from an earlier step would give a second end, with fresh noise that nobody paid for."""
        known = []
        if self.common is not None:
            self.common.refresh()
            known.append(self.common)
        if self._path is not None and self._path.exists():
            known.append(Ledger.read(self._path))
        if any(self._ended in ledger.disclosed for ledger in known):
            raise self._ended_already(
                f"its latest whole checkpoint is of step {releases}, and fresh noise from there on would give a second one"
            )

    def _ended_already(self, why: str) -> CheckpointError:
        return CheckpointError(
            f"{self._where} has ended: all {self._setting.steps} steps were released, and its charge pays for one result; {why}. "
            "Use the release of that result, put its last checkpoint back, or choose another folder, where a new run is charged"
        )

    def _charge_common(self, common: Ledger) -> None:
        """Charge the caller's ledger once, also if several processes have it open in one file."""
        common.refresh()
        is_charged = any(charge.where == self._where for charge in common.charges)
        if (self._is_first or common.path is None) and not is_charged:
            common.charge(self._plan.event, where=self._where)
        if self._setting.engine.process[1] > 1:
            self._setting.engine.shared(torch.zeros(1))  # the others wait until the first one has charged
        common.refresh()

    def _opened(self, common: Ledger | None) -> Ledger:
        """The ledger of the certificate, with the run in it."""
        if common is not None and common.path is None and common.budget is None:
            return common.snapshot()  # more may be charged there later
        if common is None and self._path is not None and self._setting.resumed is not None:
            return _read(self._path, self._where)
        ledger = self._settings.new_ledger(self._plan, steps=self._setting.steps)
        ledger.charge(self._plan.event, where=self._where)
        if common is not None:  # a release beside a leak from the same records guarantees nothing
            carry_leaks(common, ledger)
            if is_seeded(common):
                disclose_seeded(ledger)
        return ledger


def for_ledger(settings: PrivateGradients, setting: Setting) -> PrivateGradients:
    """The settings under the adjacency of the caller's ledger.

    Raises:
        ValueError: the ledger counts something else than this run does.
    """
    ledger = setting.ledger
    if ledger is None:
        return settings
    adjacency = str(ledger.adjacency.value)
    if settings.adjacency not in (None, adjacency):
        raise ValueError(f"adjacency={settings.adjacency!r}, but the ledger is for {adjacency!r}; use one for both")
    if ledger.unit != settings.unit:
        raise ValueError(f"unit={settings.unit!r}, but the ledger counts {ledger.unit!r}; use one for both")
    if ledger.n not in (None, setting.rows):
        raise ValueError(
            f"the ledger is for n={ledger.n} records, the data have {setting.rows}; open a ledger for these data"
        )
    return replace(settings, adjacency=adjacency)


def _read(path: Path, where: str) -> Ledger:
    if not path.exists():
        raise LedgerError(f"{path} is missing; put it back, or give the ledger= that the run began with")
    ledger = Ledger.read(path)
    if all(charge.where != where for charge in ledger.charges):
        raise LedgerError(
            f"{path} holds no charge of this run ({where}); put the ledger back that the run began with, or choose another folder"
        )
    return ledger
