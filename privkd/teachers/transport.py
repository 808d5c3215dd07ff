"""How fitted members come back from the processes that train them: as bytes, which the worker makes and the parent opens.

Whether a fitted model can be pickled may depend on one record. Left to the backend, that would decide between an exception and
an ensemble; here it is one member that failed.
"""

from __future__ import annotations

import os
import platform
from typing import Any, TypeVar

from privkd.errors import TeacherError
from privkd.teachers.isolation import answer_or_none, isolated

Process = tuple[str, int]
"""Name of a machine, number of a process there."""

Value = TypeVar("Value")


def this_process() -> Process:
    """Which process this is, among those of all machines that may train members."""
    return platform.node(), os.getpid()


def runs_elsewhere() -> bool:
    """Whether joblib, as the caller has configured it, runs jobs in other processes."""
    from joblib import Parallel, delayed

    return any(process != this_process() for process in Parallel()(delayed(this_process)() for _ in range(2)))


def packed(value: Value, *, home: Process) -> Value | bytes | None:
    """The value as bytes for another process, itself in this one; None if it cannot be pickled, whatever it raises."""
    if this_process() == home:
        return value
    import cloudpickle

    with isolated(0):
        return answer_or_none(lambda: cloudpickle.dumps(value))


def unpacked(sent: Any) -> Any:
    """What `packed` was given; None if it cannot be built again, whatever it raises."""
    if not isinstance(sent, bytes):
        return sent
    import cloudpickle

    with isolated(0):
        return answer_or_none(lambda: cloudpickle.loads(sent))


def sent_and_back(value: Value, *, name: str) -> Value:
    """A value from made-up rows as it comes back from another process.

    Raises:
        TeacherError: it cannot be pickled; the message says what to do.
    """
    import cloudpickle

    try:
        return cloudpickle.loads(cloudpickle.dumps(value))
    except Exception as error:
        raise TeacherError(
            f"{name} cannot come back from another process, because it cannot be pickled: {error}. Train in this one: "
            "joblib.parallel_config(n_jobs=1), or backend='threading'"
        ) from error
