"""A command in several processes of this machine, through torchrun."""

from __future__ import annotations

import logging
import os
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path

import typer

from accountants import check
from privkd.cli.output import INTERRUPTED, REFUSED, say

_SAID = (REFUSED, INTERRUPTED)  # exit codes of a process that has written why


def launch(arguments: Sequence[str], processes: int) -> None:
    """Run `privkd ARGUMENTS` in several processes, as torchrun does, and wait for them.

    What the first process writes is seen; of the others only why they ended, if they were the ones to fail.

    Args:
        arguments: of the command line, without a number of processes.
        processes: how many, >= 2.

    Raises:
        ValueError: processes is no such number.
        typer.Exit: the run was interrupted or a process failed; with its exit code, or with that of a refusal.
    """
    check.integer(processes=processes, at_least=2)
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as torchrun does, with a warning
    with tempfile.TemporaryDirectory(prefix="privkd-") as logs:
        hidden = ",".join(f"{rank}:3" for rank in range(1, processes))
        launcher = ["--standalone", "--local_addr=127.0.0.1", f"--nproc_per_node={processes}"]
        launcher += [f"--log_dir={logs}", f"--redirects={hidden}", "-m", "privkd"]
        logging.disable(logging.ERROR)  # what torchrun writes about a failure is said below, in one line
        try:
            run(parse_args([*launcher, *arguments]))
        except ChildFailedError as error:
            _explain(error, Path(logs))
        except SignalException as error:
            # The first process has said so, and whether the run is saved.
            raise typer.Exit(INTERRUPTED if error.sigval == signal.SIGINT else REFUSED) from None
        finally:
            logging.disable(logging.NOTSET)


def _explain(error: Exception, logs: Path) -> None:
    """Say why the processes ended, unless the first of them has said it, and exit."""
    rank, failure = error.get_first_failure()  # type: ignore[attr-defined]
    first = error.failures.get(0)  # type: ignore[attr-defined]
    if first is None or first.exitcode not in _SAID:
        for file in sorted(logs.glob(f"*/attempt_*/{rank}/stderr.log")):
            say(file.read_text(encoding="utf-8", errors="replace").rstrip())
        if failure.exitcode in _SAID:
            raise typer.Exit(failure.exitcode) from None
        ended = f"by {failure.signal_name()}" if failure.exitcode < 0 else f"with exit code {failure.exitcode}"
        say(f"process {rank} of the run ended {ended}; what was saved is kept: start it again to go on")
        raise typer.Exit(REFUSED) from None
    raise typer.Exit(first.exitcode) from None
