"""One ledger file for several programs: no charge is lost, the budget is spent once, and a kill leaves a whole file."""

import json
import multiprocessing
import os
import queue
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from accountants import BudgetExceeded, Gaussian, GNMax, Ledger, LedgerError, epsilon
from accountants.ledger import chain, shared_file
from accountants.ledger.shared_file import BoundFile, locked

VOTE = GNMax(40.0)
FORK = multiprocessing.get_context("fork") if hasattr(os, "fork") else None
needs_fork = pytest.mark.skipif(FORK is None, reason="the system has no fork")


def opened(path, **more):
    return Ledger.open(path, **{"adjacency": "replace-one", "epsilon": 1.0, "delta": 1e-5, "n": 1000, **more})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.json"


def most_that_fit():
    """How many votes one program alone gets out of the budget."""
    alone, count = Ledger(adjacency="replace-one", epsilon=1.0, delta=1e-5, shared=True), 0
    while True:
        try:
            alone.charge(VOTE)
        except BudgetExceeded:
            return count
        count += 1


# ---- opening


def test_a_file_is_made_once_and_then_opened_with_what_it_says(path):
    first = opened(path, unit="patient", note="a study")
    assert Ledger.read(path).to_dict() == first.to_dict()
    again = Ledger.open(path)
    assert (again.adjacency, again.budget, again.delta, again.n) == ("replace-one", 1.0, 1e-5, 1000)
    assert (again.unit, again.note, again.path) == ("patient", "a study", path)
    assert again.to_dict()["filter"] == "every-kind/1"
    assert Ledger.read(path).path is None
    assert os.listdir(path.parent) == ["ledger.json"]


@pytest.mark.parametrize(
    "other",
    [{"adjacency": "add-remove"}, {"epsilon": 2.0}, {"delta": 1e-6}, {"n": 999}, {"unit": "label"}, {"note": "x"}],
    ids=lambda one: next(iter(one)),
)
def test_a_header_that_says_something_else_is_refused_by_field(path, other):
    opened(path)
    kept = path.read_bytes()
    (field,) = other
    with pytest.raises(LedgerError, match=f"opened with {field}="):
        opened(path, **other)
    assert path.read_bytes() == kept


def test_a_new_file_needs_an_adjacency_and_nothing_is_left_behind(path):
    with pytest.raises(ValueError, match="adjacency="):
        Ledger.open(path)
    with pytest.raises(ValueError, match="without delta"):
        Ledger.open(path, adjacency="replace-one", epsilon=1.0)
    assert os.listdir(path.parent) == []


def test_without_a_budget_everything_is_recorded_and_nothing_shared(path):
    ledger = Ledger.open(path, adjacency="add-remove", delta=1e-5)
    ledger.charge(Gaussian(0.1))
    assert "filter" not in json.loads(path.read_text())
    assert len(Ledger.read(path).charges) == 1


def test_links_lead_to_the_same_lock_and_the_same_file(path, tmp_path):
    first = opened(path)
    link = tmp_path / "link.json"
    link.symlink_to(path)
    other = Ledger.open(link)
    other.charge(VOTE)
    first.charge(VOTE)
    assert link.is_symlink()
    assert len(Ledger.read(path).charges) == 2


# ---- charging


def test_every_entry_lies_in_the_file_before_the_call_returns(path):
    ledger = opened(path)
    ledger.charge(VOTE, where="votes", count=3)
    assert [charge.where for charge in Ledger.read(path).charges] == ["votes"]
    ledger.claim(1.0, 1e-5, "budget")
    ledger.disclose("a remark")
    found = Ledger.read(path)
    assert found.to_dict() == ledger.to_dict()
    assert (len(found.claims), found.disclosed) == (1, ("a remark",))


def test_a_charge_takes_over_what_others_appended_and_says_which_entry_it_is(path):
    mine, other = opened(path), opened(path)
    first = mine.charge(VOTE, where="mine")
    second = other.charge(VOTE, where="other")
    other.disclose("something")
    third = mine.charge(VOTE, where="mine")
    assert (first.index, second.index, third.index) == (0, 1, 3)
    assert [charge for charge in mine.charges if charge.index not in {first.index, third.index}] == [second]
    assert mine.disclosed == ("something",)
    assert len(other.charges) == 2
    other.refresh()
    assert other.charges == mine.charges
    assert other.epsilon() == mine.epsilon()


def test_what_others_spent_is_not_there_any_more(path):
    mine, other = opened(path), opened(path)
    most = most_that_fit()
    other.charge(VOTE, count=most - 1)
    mine.charge(VOTE)
    kept = path.read_bytes()
    for ledger in (mine, other):
        with pytest.raises(BudgetExceeded):
            ledger.charge(VOTE)
    assert path.read_bytes() == kept


def spend(path, out):
    ledger, count = Ledger.open(path), 0
    while True:
        try:
            ledger.charge(VOTE)
        except BudgetExceeded:
            out.put(count)
            return
        count += 1


def started(kind, path, number):
    out = queue.Queue() if kind is threading.Thread else FORK.Queue()
    workers = [kind(target=spend, args=(path, out)) for _ in range(number)]
    for worker in workers:
        worker.start()
    counts = [out.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
    return counts


@needs_fork
def test_many_programs_spend_one_budget(path):
    opened(path)
    counts = started(FORK.Process, path, 4)
    assert sum(counts) == most_that_fit() == len(Ledger.read(path).charges)
    assert os.listdir(path.parent) == ["ledger.json"]


def test_many_threads_that_opened_the_file_themselves_spend_one_budget(path):
    opened(path)
    counts = started(threading.Thread, path, 4)
    assert sum(counts) == most_that_fit() == len(Ledger.read(path).charges)
    assert epsilon(VOTE * sum(counts), 1e-5, adjacency="replace-one").upper <= 1.0


@needs_fork
def test_a_forked_process_charges_the_ledger_of_its_parent(path):
    ledger = opened(path)
    ledger.charge(VOTE, where="parent")
    child = FORK.Process(target=lambda: ledger.charge(VOTE, where="child"))
    child.start()
    child.join()
    assert child.exitcode == 0
    ledger.charge(VOTE, where="parent again")
    assert [charge.where for charge in ledger.charges] == ["parent", "child", "parent again"]


@needs_fork
def test_a_lock_that_another_thread_held_at_the_fork_does_not_stop_the_child(path):
    ledger = opened(path)
    ledger._lock.acquire()
    child = FORK.Process(target=_charge_in_a_thread, args=(ledger,))
    child.start()
    ledger._lock.release()
    child.join(30)
    assert child.exitcode == 0
    assert len(Ledger.read(path).charges) == 1


def _charge_in_a_thread(ledger):
    thread = threading.Thread(target=ledger.charge, args=(VOTE,))  # another one than the one that held the lock
    thread.start()
    thread.join()


# ---- faults


@pytest.mark.parametrize("step", ["os.fsync", "os.replace"])
def test_a_charge_that_could_not_be_written_is_not_counted(step, path, monkeypatch):
    ledger = opened(path)
    ledger.charge(VOTE)
    before = path.read_bytes(), ledger.to_dict(), ledger.total

    def fail(*_):
        raise OSError("disk full")

    with monkeypatch.context() as broken:
        broken.setattr(step, fail)
        with pytest.raises(OSError, match="disk full"):
            ledger.charge(VOTE)
    assert before == (path.read_bytes(), ledger.to_dict(), ledger.total)
    ledger.charge(VOTE)
    assert len(Ledger.read(path).charges) == 2
    assert os.listdir(path.parent) == ["ledger.json"]


def test_an_interruption_after_the_write_loses_no_entry(path, monkeypatch):
    ledger = opened(path)

    def interrupted(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(BoundFile, "settle", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ledger.charge(VOTE, where="interrupted")
    ledger.charge(VOTE, where="later")
    assert [charge.where for charge in Ledger.read(path).charges] == ["interrupted", "later"]


@pytest.mark.skipif(sys.platform == "win32", reason="kills a process")
@pytest.mark.parametrize(
    ("moment", "entries"),
    [
        ("os.fsync = lambda handle: os.kill(os.getpid(), 9)", 1),
        ("os.replace = lambda *names: os.kill(os.getpid(), 9)", 1),
        ("real = os.replace; os.replace = lambda *names: (real(*names), os.kill(os.getpid(), 9))", 2),
    ],
    ids=["before it is durable", "before the rename", "after the rename"],
)
def test_a_kill_leaves_the_old_file_or_the_new_one_and_no_lock(moment, entries, path):
    ledger = opened(path)
    ledger.charge(VOTE)
    program = f"""
        import os
        from accountants import GNMax, Ledger
        ledger = Ledger.open({str(path)!r})
        {moment}
        ledger.charge(GNMax(40.0))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False, timeout=60)
    assert done.returncode == -9
    assert len(Ledger.read(path).charges) == entries
    ledger.charge(VOTE)
    assert len(Ledger.read(path).charges) == entries + 1
    assert os.listdir(path.parent) == ["ledger.json"]  # what the killed program left is gone


def test_a_file_that_is_gone_replaced_or_cut_is_refused_and_not_written(path, tmp_path):
    ledger = opened(path)
    ledger.charge(VOTE)
    early = path.read_bytes()
    ledger.charge(VOTE)
    whole = path.read_bytes()

    path.unlink()
    with pytest.raises(LedgerError, match="is gone"):
        ledger.charge(VOTE)
    assert os.listdir(tmp_path) == []

    path.write_bytes(early)
    with pytest.raises(LedgerError, match="entries were cut off"):
        ledger.charge(VOTE)

    Ledger(adjacency="replace-one").save(tmp_path / "other.json")
    path.write_bytes((tmp_path / "other.json").read_bytes())
    with pytest.raises(LedgerError, match="another ledger lies there"):
        ledger.charge(VOTE)

    path.write_bytes(whole.replace(b"gnmax", b"lnmax", 1))
    with pytest.raises(LedgerError, match=r"events\[0\].* is not what it was"):
        ledger.refresh()

    path.write_bytes(whole)
    ledger.charge(VOTE)
    assert len(Ledger.read(path).charges) == 3


def test_entries_of_others_are_verified_and_those_that_are_known_are_not_hashed_again(path, monkeypatch):
    ledger, other = opened(path), opened(path)
    for _ in range(20):
        ledger.charge(VOTE)
    other.refresh()
    ledger.charge(VOTE)
    hashed = []
    real = chain.canonical_digest
    monkeypatch.setattr(chain, "canonical_digest", lambda data: hashed.append(1) or real(data))
    other.refresh()
    assert len(hashed) <= 2  # the header and the new entry
    document = json.loads(path.read_text())
    document["events"][-1]["where"] = "edited"
    Ledger.open(path).charge(VOTE)
    path.write_text(json.dumps(document))
    with pytest.raises(LedgerError):
        other.refresh()


def test_a_lock_that_is_held_for_long_is_told(path, monkeypatch):
    ledger = opened(path)
    monkeypatch.setattr(shared_file, "_PATIENCE", 0.05)
    with locked(path), pytest.raises(LedgerError, match="held by another program"):
        ledger.charge(VOTE)
    ledger.charge(VOTE)


@pytest.mark.skipif(sys.platform == "win32", reason="kills a process")
def test_the_lock_of_a_program_that_died_is_free(path):
    ledger = opened(path)
    program = f"""
        import sys, time
        from pathlib import Path
        from accountants.ledger.shared_file import locked
        with locked(Path({str(path)!r})):
            print("held", flush=True)
            time.sleep(60)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        started_at = time.monotonic()
        ledger.charge(VOTE)
        assert time.monotonic() - started_at < 10.0
    assert os.listdir(path.parent) == ["ledger.json"]


# ---- saving


def test_a_bound_ledger_is_saved_already_and_leaves_copies_elsewhere(path, tmp_path):
    ledger = opened(path)
    ledger.charge(VOTE)
    kept = path.read_bytes()
    ledger.save(path)
    assert path.read_bytes() == kept
    ledger.save(tmp_path / "copy.json")
    assert Ledger.read(tmp_path / "copy.json").to_dict() == ledger.to_dict()


def test_nothing_else_is_saved_over_a_shared_budget(path):
    ledger = opened(path)
    ledger.charge(VOTE)
    stale = Ledger.read(path)
    ledger.charge(VOTE)
    kept = path.read_bytes()
    fresh = Ledger(adjacency="replace-one", epsilon=1.0, delta=1e-5, n=1000, shared=True)
    for other in (Ledger(adjacency="add-remove"), fresh, stale):
        with pytest.raises(LedgerError):
            other.save(path)
    assert path.read_bytes() == kept


def savers(start, path, meet, out):
    def save(sigma):
        ledger = Ledger.read(path)
        ledger.charge(GNMax(sigma))
        meet.wait(20)
        try:
            ledger.save(path)
            out.put("saved")
        except LedgerError:
            out.put("told")

    both = [start(target=save, args=(8.0 + number,)) for number in range(2)]
    for one in both:
        one.start()
    answers = sorted(out.get(timeout=30) for _ in both)
    for one in both:
        one.join()
    return answers


@needs_fork
@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_of_two_who_save_at_the_same_moment_one_is_told(kind, path):
    tools = (threading.Thread, threading.Barrier, queue.Queue)
    start, barrier, new_queue = tools if kind == "threads" else (FORK.Process, FORK.Barrier, FORK.Queue)
    for _ in range(8):
        path.unlink(missing_ok=True)
        first = Ledger(adjacency="replace-one", delta=1e-5)
        first.charge(GNMax(200.0))
        first.save(path)
        assert savers(start, path, barrier(2), new_queue()) == ["saved", "told"]
        assert len(Ledger.read(path).charges) == 2
