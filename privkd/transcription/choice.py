"""The ways of transcription, and which of them a call takes."""

from __future__ import annotations

from accountants import Ledger
from privkd.certificates.scopes import Scope
from privkd.errors import GuaranteeError
from privkd.teachers.teacher import Teacher, TeacherKind
from privkd.transcription.arguments import one_of
from privkd.transcription.methods.cells import CELLS
from privkd.transcription.methods.certified import CERTIFIED
from privkd.transcription.methods.dpsd import DPSD
from privkd.transcription.methods.labels import GNMAX
from privkd.transcription.methods.method import Method
from privkd.transcription.methods.votes import VOTES
from privkd.transcription.request import leaks_behind

METHODS: tuple[Method, ...] = (VOTES, GNMAX, CELLS, DPSD, CERTIFIED)
"""How a transcription can be made. A new method is a row of its own file, and its name here."""


def named_method(name: str) -> Method | None:
    """The method of this name; None for "auto".

    Raises:
        ValueError: there is none.
    """
    one_of("method", name, ("auto", *(method.name for method in METHODS)))
    return next((method for method in METHODS if method.name == name), None)


def chosen_method(named: Method | None, teacher: Teacher, *, queries: bool, records: bool) -> Method:
    """The method that was named, else the best one for a teacher with public queries and private records or without.

    Raises:
        ValueError: it needs what was not given, or records were given that it does not use.
    """
    if records and named is not None and not named.records:
        using = " or ".join(f"method={method.name!r}" for method in METHODS if method.records)
        raise ValueError(f"records= are used by {using} only, not by {named.name!r}; leave one of them away")
    if records and not queries:
        raise ValueError(
            "records= needs public queries= as well: the records' labels are counted in cells of public inputs"
        )
    possible = [method for method in METHODS if method.is_possible(teacher, queries=queries, records=records)]
    if named is None:
        ranked = {method.rank: method for method in reversed(possible) if method.rank is not None}
        return ranked[min(ranked)]
    if named not in possible:
        names = [method.name for method in possible]
        raise ValueError(f"method={named.name!r} needs {named.needs}; possible here: {names}")
    return named


def chosen_scope(
    method: Method, scope: str | None, teacher: Teacher, common: Ledger | None, *, epsilon: float, classes: int
) -> Scope:
    """What the guarantee will be about: the scope that was asked for, or the default of the method.

    Raises:
        ValueError: no such scope.
        GuaranteeError: the method does not reach it, or a leak has ended all of them.
    """
    if scope is None:
        return method.scope_for(teacher, None, epsilon=epsilon, classes=classes)
    try:
        wanted = Scope(scope)
    except ValueError:
        raise ValueError(f"scope={scope!r} is unknown; scopes are {', '.join(Scope)}") from None
    leaks = leaks_behind(teacher, common)
    if leaks:
        raise GuaranteeError(
            f"scope={wanted.value!r} cannot be certified: the teacher's ledger discloses a leak ({'; '.join(leaks)}), and no "
            "noise takes it back. Train a new teacher on other records, or leave scope=None for a student without a guarantee"
        )
    return method.scope_for(teacher, wanted, epsilon=epsilon, classes=classes)


def chosen_mode(mode: str, method: Method, scope: str | None, *, queries: bool) -> str:
    """The mode, if the method has it for these queries and this scope.

    Raises:
        ValueError: the published method is made otherwise.
    """
    fits = method.has_paper_mode and not queries and scope in (None, Scope.SYNTHETIC_LABEL)
    if mode == "paper" and not fits:
        raise ValueError(
            "mode='paper' reproduces a published method: method='dpsd' on generated queries in scope 'synthetic-label'; got "
            f"method {method.name!r}, {'public' if queries else 'generated'} queries, scope {scope!r}"
        )
    return mode


def chosen_count(count_failures: bool, method: Method) -> bool:
    """Whether failed teachers are counted.

    Raises:
        ValueError: the method asks no ensemble.
    """
    if count_failures and method.teacher is not TeacherKind.ENSEMBLE:
        raise ValueError(f"count_failures=True counts the teachers of an ensemble; method {method.name!r} asks none")
    return bool(count_failures)
