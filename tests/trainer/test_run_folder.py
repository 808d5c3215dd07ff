"""One run holds a folder; the hold ends with the run's process, whatever ends it and whoever was forked from it."""

import errno
import fcntl
import logging
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress

import pytest

from privkd.errors import CheckpointError
from privkd.trainer.checkpoints import folder as run_folder

# Holds a folder, forks a worker as a data loader does, and waits to be killed; the worker tells its number once it runs.
HOLDER = """
import fcntl, multiprocessing, os, sys, time
from contextlib import contextmanager
from pathlib import Path
from privkd.trainer.checkpoints.folder import held

@contextmanager
def plain(folder):  # the same without care for forked copies
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    yield

def work():
    print(os.getpid(), flush=True)
    time.sleep(60)

with {"held": held, "plain": plain}[sys.argv[2]](Path(sys.argv[1])):
    multiprocessing.get_context("fork").Process(target=work).start()
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Start a run that holds the folder; gives its process and the number of its worker. Both are ended."""
    running = []

    def start(kind):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", HOLDER, str(tmp_path), kind]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        running.append((process, int(process.stdout.readline())))
        return running[-1]

    yield start
    for process, worker in running:
        process.kill()
        process.wait()
        os.kill(worker, signal.SIGKILL)
        process.stdout.close()


def is_free(folder):
    try:
        with run_folder.held(folder):
            return True
    except CheckpointError:
        return False


def test_another_process_is_told_who_holds_the_folder_until_that_one_is_killed(tmp_path, holder):
    process, _ = holder("held")
    told = rf"in use by another run \(process {process.pid}\); wait for it or choose another folder"
    with pytest.raises(CheckpointError, match=told), run_folder.held(tmp_path):
        pass
    assert not is_free(tmp_path)  # looking did not end it
    process.kill()
    process.wait()
    assert is_free(tmp_path)


def test_a_worker_that_outlives_its_killed_run_does_not_hold_the_folder(tmp_path, holder):
    process, worker = holder("held")
    process.kill()
    process.wait()
    os.kill(worker, 0)  # lives
    assert is_free(tmp_path)


def test_a_lock_that_workers_inherit_would_be_noticed(tmp_path, holder):
    process, worker = holder("plain")
    process.kill()
    process.wait()
    os.kill(worker, 0)
    assert not is_free(tmp_path)


def test_a_forked_copy_that_leaves_the_block_ends_nothing(tmp_path):
    other = tmp_path / "other"
    other.write_text("content")
    with run_folder.held(tmp_path):
        inside = (tmp_path / "lock").read_text()
        with suppress(KeyboardInterrupt), run_folder.held(tmp_path.parent):
            copy = os.fork()
            if copy == 0:
                reused = [
                    os.open(other, os.O_RDWR) for _ in range(2)
                ]  # the copy has let go of both locks: numbers are free
                raise KeyboardInterrupt
        if copy == 0:
            is_open = other.read_text() == "content" and all(os.fstat(one).st_size == 7 for one in reused)
            os._exit(0 if is_open and not run_folder._descriptors else 1)
        assert os.waitpid(copy, 0)[1] == 0
        assert (tmp_path / "lock").read_text() == inside
        assert inside.split()[0] == str(os.getpid())
        assert not is_free(tmp_path)
    (tmp_path.parent / "lock").unlink()


def test_two_runs_in_one_process_exclude_each_other_and_copies_of_the_folder_change_nothing(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    with run_folder.held(folder):
        with pytest.raises(CheckpointError, match=rf"\(process {os.getpid()}, this one\)"), run_folder.held(folder):
            pass
        shutil.copytree(folder, tmp_path / "copy")  # opens and closes the file, which would end a record lock
        assert not is_free(folder)
        assert is_free(tmp_path / "copy")
    assert is_free(folder)
    assert (folder / "lock").read_text() == ""


def test_the_hold_ends_with_an_error_too(tmp_path):
    with pytest.raises(ZeroDivisionError), run_folder.held(tmp_path):
        raise ZeroDivisionError
    assert is_free(tmp_path)
    assert not run_folder._descriptors


@pytest.mark.parametrize(
    ("text", "told"), [("", "its process is not known"), ("7 elsewhere", "process 7 on elsewhere")]
)
def test_a_holder_that_cannot_be_looked_up_is_told_as_far_as_it_is_known(tmp_path, text, told):
    with run_folder.held(tmp_path):
        (tmp_path / "lock").write_text(text)
        with pytest.raises(CheckpointError, match=told), run_folder.held(tmp_path):
            pass


def test_where_there_are_no_locks_the_log_says_so(tmp_path, monkeypatch, caplog):
    def unknown(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unknown)
    with caplog.at_level(logging.WARNING, "privkd"):
        assert is_free(tmp_path)
    assert "is not locked ([Errno 37] No locks available): see to it that no other run uses it" in caplog.text


def test_a_folder_that_is_not_there_cannot_be_held(tmp_path):
    with (
        pytest.raises(CheckpointError, match=r"lock cannot be opened: .* is not there any more"),
        run_folder.held(tmp_path / "no"),
    ):
        pass
