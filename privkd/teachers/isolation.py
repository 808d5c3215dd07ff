"""Running a teacher's code: what it does besides answering stays without effect.

Teachers saw private data, so whatever they do may depend on a record: they warn, log, print, draw random numbers, raise. All of
that is swallowed, and global random state comes back as it was. This protects against accidents; code that wants to tell can.
"""

from __future__ import annotations

import contextlib
import io
import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

from privkd.teachers.global_state import restored
from privkd.trainer import seeded

Answer = TypeVar("Answer")
# Seeds, warning filters and log levels are global; processes train teachers in parallel.
_ONE_AT_A_TIME = threading.RLock()


@contextlib.contextmanager
def isolated(seed: int) -> Iterator[None]:
    """Run a block silently, from a seed, and put global state back: random numbers and what `restored` names.

    One block runs at a time in a process. Gradients are recorded in it, whatever the caller's mode is. What it does through
    joblib is done in its own thread: elsewhere nothing would be silent, and workers of a cluster would wait for each other.

    Args:
        seed: of the global generators in the block; public, or secret as the ensemble's key.
    """
    from joblib import parallel_config

    silence = io.StringIO()
    with (
        _ONE_AT_A_TIME,
        seeded(seed),
        restored(),
        torch.inference_mode(False),
        parallel_config(backend="sequential"),
    ):
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        with contextlib.redirect_stdout(silence), contextlib.redirect_stderr(silence):
            yield


def answer_or_none(answer: Callable[[], Answer]) -> Answer | None:
    """What a teacher's code answers, or None whatever it raises: which error it is, and that there is one, is private.

    Raises:
        KeyboardInterrupt: the user wants to stop.
    """
    try:
        return answer()
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001  also SystemExit and what libraries derive from BaseException
        return None
