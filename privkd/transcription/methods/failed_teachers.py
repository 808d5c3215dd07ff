"""A noisy count of the teachers of an ensemble that failed, paid for by a tenth of the budget."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from accountants import Event, Gaussian, Ledger, gaussian_mu
from privkd.certificates.leaks import NOTE
from privkd.mechanisms import BoundedSum
from privkd.mechanisms.private_value import Private
from privkd.teachers.ensemble import TeacherEnsemble
from privkd.transcription.methods.gaussian_noise import FOR_FAILURES
from privkd.transcription.request import Request


def require_room_beside_failures(request: Request, answers: Event) -> None:
    """Refuse answers, with the count of failures where it was asked for, that the common ledger has no room for.

    Raises:
        BudgetExceeded: there is no room.
    """
    if request.count_failures and math.isfinite(request.epsilon):
        answers = answers + Gaussian(_std_of_failures(request))
    request.require_room(answers)


def count_failures(request: Request, ensemble: TeacherEnsemble, ledger: Ledger) -> None:
    """A noisy count of the teachers that failed, if it was asked for, as a note in the ledger.

    One replaced record changes one teacher, so the count by one: rows of 0 or 1 less 1/2 have norm 1/2 and move by at most 1.
    """
    if not request.count_failures or math.isinf(request.epsilon):
        return
    std = _std_of_failures(request)

    def release() -> Tensor:
        failed = ensemble.failures.counted_in(request.shared)
        centred = Private(failed.unsafe_value() - 0.5, origin=failed.origin, ledgers=failed.ledgers)
        mechanism = BoundedSum(2 * std)
        return mechanism.release(centred, bound=0.5, ledger=ledger, noise=request.noise, where="failed teachers")

    found = float(request.paid.released(torch.zeros(1), ledger, release)[0]) + len(ensemble) / 2
    text = f"{NOTE}about {max(found, 0):.0f} of {len(ensemble)} teachers failed (noisy; standard deviation {std:.1f})"
    if text not in ledger.disclosed:
        ledger.disclose(text)


def _std_of_failures(request: Request) -> float:
    """Standard deviation of the noise on the count of failed teachers."""
    return 1 / (math.sqrt(FOR_FAILURES) * gaussian_mu(request.epsilon, request.delta)) * (1 + 1e-10)
