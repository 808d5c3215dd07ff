"""A run that is killed, or fails, at any moment of a save leaves the state before it or the state after it, never nothing."""

import errno
import io
import os
import shutil
from contextlib import contextmanager, suppress

import pytest

from privkd.errors import CheckpointError
from privkd.trainer import Checkpoints
from privkd.trainer.checkpoints import checkpoints


@pytest.fixture(autouse=True)
def no_power_failure(monkeypatch):
    """Waiting for the disk would only take time here."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


class Killed(BaseException):
    """The process makes no call after it."""


@contextmanager
def failing(at, monkeypatch, *, error=Killed, torn=False, once=False):
    """The call of this number to the file system fails, and all after it; what is written by then may be cut in two.

    Gives the list of calls.
    """
    calls = []

    def guarded(name, call, is_write=False):
        def guard(*args, **kwargs):
            writes = is_write and (name != "open" or (kwargs.get("mode") or (*args, "r")[1])[0] == "w")
            calls.append(name)
            if len(calls) == at or (len(calls) > at and not once):
                if torn and writes and len(calls) == at:
                    result = call(*args, **kwargs)
                    if name == "open":
                        result.close()  # made, and nothing in it
                    else:
                        os.truncate(args[1], args[1].stat().st_size // 2)
                raise error
            return call(*args, **kwargs)

        return guard

    with monkeypatch.context() as patch:
        for name in ("mkdir", "rename", "rmdir", "unlink", "open", "scandir", "listdir", "fsync", "ftruncate"):
            patch.setattr(os, name, guarded(f"os.{name}", getattr(os, name)))
        patch.setattr(io, "open", guarded("open", io.open, is_write=True))
        patch.setattr(checkpoints, "save_file", guarded("save_file", checkpoints.save_file, is_write=True))
        yield calls


SAVES = {  # steps there are, what a kill had done with the last of them and its new name, step that is written, keep
    "a later one": ([1], None, "", 2, 3),
    "the only one": ([1], None, "", 2, 1),
    "the same": ([2], None, "", 2, 3),
    "the same of some": ([1, 2], None, "", 2, 3),
    "after a kill before the last renaming": ([1], shutil.move, ".replaced", 1, 1),
    "after a kill before the last deletion": ([1], shutil.copytree, ".replaced", 1, 1),
    "after a kill before the first renaming": ([1], shutil.copytree, ".unfinished", 1, 1),
}


def prepared(folder, case):
    """Checkpoints, the step that is to be written, and what may be found then."""
    there, leave, prefix, step, keep = SAVES[case]
    for one in there:
        path = Checkpoints(folder).save(one, {"is": "old"})
    if leave is not None:
        leave(path, folder / f"{prefix}-{path.name}")
    return Checkpoints(folder, keep=keep), step, {(there[-1], "old"), (step, "new")}


def tree(folder):
    return frozenset(
        (str(path.relative_to(folder)), path.is_file() and path.read_bytes()) for path in folder.rglob("*")
    )


@pytest.mark.parametrize("torn", [False, True])
@pytest.mark.parametrize("case", SAVES)
def test_a_kill_at_any_call_leaves_the_old_or_the_new_state(tmp_path, monkeypatch, case, torn):
    """Also when the run that comes after is killed while it finds out, wherever that is."""
    seen, ended = set(), 0
    for at in range(1, 200):
        folder = tmp_path / str(at)
        kept, step, allowed = prepared(folder, case)
        with failing(at, monkeypatch, torn=torn) as calls, suppress(Killed), kept.held():
            kept.save(step, {"is": "new"})
            ended = at
        found = Checkpoints(folder).latest()
        assert (found[0], found[1]["is"]) in allowed, calls
        assert all(checkpoints._read(path) for path in folder.glob("step-*")), calls  # none is half deleted
        if ended:
            break
        if tree(folder) in seen:
            continue
        seen.add(tree(folder))
        for again in range(1, 200):
            copied = tmp_path / f"{at}-{again}"
            shutil.copytree(folder, copied)
            after, is_over = Checkpoints(copied), False
            with failing(again, monkeypatch) as later, suppress(Killed), after.held():
                assert after.latest() == found
                is_over = len(later) < again
            with after.held():
                assert after.latest() == found, (calls, later)
            assert all(name.startswith("step-") for name in os.listdir(copied) if name != "lock")
            if is_over:
                break
        else:
            raise AssertionError("the look never ended")
    assert 20 < ended < 199
    assert (found[0], found[1]["is"]) == (step, "new")
    assert len(seen) >= 6


def test_replacing_by_deleting_first_would_be_noticed(tmp_path, monkeypatch):
    """The obvious way, which loses the only checkpoint when it is killed in between."""

    def careless(self, whole, final):
        shutil.rmtree(final, ignore_errors=True)
        whole.rename(final)

    monkeypatch.setattr(Checkpoints, "_settle", careless)
    monkeypatch.setattr(checkpoints, "_PREFIXES", ("step-",))  # and nothing unfinished is adopted
    lost = 0
    for at in range(1, 60):
        kept, step, _ = prepared(tmp_path / str(at), "the same")
        with failing(at, monkeypatch), suppress(Killed):
            kept.save(step, {"is": "new"})
        lost += Checkpoints(tmp_path / str(at)).latest() is None
    assert lost >= 3


@pytest.mark.parametrize("once", [True, False])
@pytest.mark.parametrize("case", SAVES)
def test_an_error_at_any_call_is_told_and_leaves_the_old_or_the_new_state(tmp_path, monkeypatch, case, once):
    for at in range(1, 200):
        folder = tmp_path / str(at)
        kept, step, allowed = prepared(folder, case)
        with failing(at, monkeypatch, error=OSError(errno.EIO, "Input/output error"), once=once) as calls:
            try:
                kept.save(step, {"is": "new"})
                told = None
            except CheckpointError as error:
                told = str(error)
        found = Checkpoints(folder).latest()
        assert (found[0], found[1]["is"]) in allowed, calls
        assert told is not None or (found[0], found[1]["is"]) == (step, "new"), calls
        assert told is None or "Input/output error" in told
        if once and SAVES[case][1] is not shutil.move:
            assert found[0] in kept.steps(), calls  # under its own name again
        if len(calls) < at:
            break
    assert 20 < at < 199
