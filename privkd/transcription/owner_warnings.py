"""What the owner of the data is warned of before anything is charged."""

from __future__ import annotations

import warnings

from privkd.certificates.scopes import Scope
from privkd.errors import InputRangeWarning, PrivacyScopeWarning
from privkd.transcription.request import Request, leaks_behind


def warn_owner(request: Request, asked: str | None, *, guessed: bool) -> None:
    """Warn of a guessed input range, of queries on another scale, of leaks, of a weak scope and of a large delta.

    Args:
        request: checked.
        asked: the scope that the caller asked for, if any.
        guessed: whether the input range is a guess.
    """
    if guessed:
        warnings.warn(
            f"queries are generated in the range [{request.spec.low:g}, {request.spec.high:g}] for inputs of shape "
            f"{request.spec.shape}, which is a guess. A wrong range gives a useless student: pass "
            "inputs=InputSpec(shape, low, high), or public queries",
            InputRangeWarning,
            stacklevel=3,
        )
    if request.records is None:
        request.teacher.warn_of_other_range(request.queries, low=request.spec.low, high=request.spec.high)
    leaks = leaks_behind(request.teacher, request.common)
    if leaks:
        warnings.warn(
            f"the teacher's ledger discloses a leak ({'; '.join(leaks)}), which no noise takes back: the student will have NO "
            "guarantee, and its certificate the scope 'none'",
            PrivacyScopeWarning,
            stacklevel=3,
        )
    if request.scope is Scope.SYNTHETIC_LABEL and asked is None:
        warnings.warn(
            f"a bare module was transcribed: epsilon={request.epsilon:g} protects single synthetic answers, NOT training records. "
            "For a training-record guarantee use TeacherEnsemble.fit(...), pass records= with public queries, or use a "
            "CertifiedModel; scope='teacher' composes truly. scope='synthetic-label' silences this warning",
            PrivacyScopeWarning,
            stacklevel=3,
        )
    if request.n is not None and request.delta > 1 / (10 * request.n):
        warnings.warn(
            f"delta={request.delta:g} is above 1/(10 n) = {1 / (10 * request.n):.2g}: correct, but large for n={request.n} records",
            PrivacyScopeWarning,
            stacklevel=3,
        )
