"""Checkpoints come back bit for bit, damaged ones are put aside, and what is wrong with their folder is told."""

import errno
import logging
import os
import shutil
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from privkd.errors import CheckpointError
from privkd.trainer import Checkpoints
from privkd.trainer.checkpoints import checkpoints


def state(step):
    generator = torch.Generator().manual_seed(step)
    return {
        "step": step,
        "modules": {"net": {"weight": torch.randn(3, 4, generator=generator), "seen": torch.tensor(7)}},
        "optimizer": {
            "state": {0: {"moment": torch.rand(2, dtype=torch.float64)}},
            "groups": [{"betas": (0.9, 0.999)}],
        },
        "awkward": [None, True, -0.0, float("inf"), 0.1 + 0.2, "text", (), {}, torch.zeros(0, dtype=torch.uint8)],
    }


def same(first, second):
    if isinstance(first, torch.Tensor):
        return first.dtype == second.dtype and torch.equal(first, second)
    if isinstance(first, dict):
        return list(first) == list(second) and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return type(first) is type(second) and len(first) == len(second) and all(map(same, first, second))
    return type(first) is type(second) and repr(first) == repr(second)


def test_everything_comes_back_with_its_type_and_bits(tmp_path):
    kept = Checkpoints(tmp_path)
    before = state(5)
    kept.save(5, before)
    step, after = Checkpoints(tmp_path).latest()
    assert step == 5
    assert same(before, after)
    assert not same(state(6), after)


def test_tensors_that_share_memory_are_both_kept(tmp_path):
    weight = torch.arange(6.0)
    Checkpoints(tmp_path).save(1, {"one": weight, "two": weight[:3]})
    assert same(Checkpoints(tmp_path).latest()[1], {"one": torch.arange(6.0), "two": torch.arange(3.0)})


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != "lock")


def spoil(path):
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


@pytest.mark.parametrize("keep", [1, 5, 20])
def test_only_the_latest_are_kept(tmp_path, keep):
    kept, steps = Checkpoints(tmp_path, keep=keep), [0, 1, 20, 300, 4000, 50000, 1234567890]
    for number, step in enumerate(steps, start=1):
        kept.save(step, state(step))
        assert kept.steps() == steps[:number][-keep:]
    assert names(tmp_path) == sorted(f"step-{step:09d}" for step in steps[-keep:])


@pytest.mark.parametrize(("keep", "hold"), [(1, True), (1, False), (3, True)])
def test_progress_after_a_rollback_past_damage_is_kept(tmp_path, keep, hold):
    kept = Checkpoints(tmp_path, keep=10)
    for step in (10, 20, 30, 40):
        kept.save(step, state(step))
    for step in (20, 30, 40):
        spoil(tmp_path / f"step-{step:09d}" / "tensors.safetensors")
    kept = Checkpoints(tmp_path, keep=keep)
    with kept.held() if hold else nullcontext():
        assert kept.latest()[0] == 10
        for step in range(11, 50):
            kept.save(step, state(step))
            assert kept.latest()[0] == step
            if hold:
                assert kept.steps() == [10, *range(11, step + 1)][-keep:]
    assert kept.steps() == list(range(50 - keep, 50))
    aside = [f"damaged-step-{step:09d}" for step in (20, 30, 40)]
    assert [name for name in names(tmp_path) if name.startswith("damaged")] == (aside if hold else [])


def test_of_damaged_ones_the_last_few_written_are_kept(tmp_path, caplog):
    kept = Checkpoints(tmp_path, keep=10)
    with kept.held():
        for step in (9, 8, 1, 2, 3):  # written in this order
            kept.save(step, state(step))
            os.utime(tmp_path / f"step-{step:09d}", (len(kept.steps()), len(kept.steps())))
            spoil(tmp_path / f"step-{step:09d}" / "state.json")
        with caplog.at_level(logging.WARNING, "privkd"):
            assert kept.latest() is None
    assert names(tmp_path) == [f"damaged-step-00000000{step}" for step in (1, 2, 3)]
    assert caplog.text.count("the run begins anew") == 5
    assert "is used" not in caplog.text


@pytest.mark.parametrize(
    ("name", "damage", "hold"),
    [
        ("tensors.safetensors", "flip", True),
        ("tensors.safetensors", "pipe", True),
        ("state.json", "cut", True),
        ("state.json", "remove", False),
        ("checksums.json", "cut", False),
        ("checksums.json", "flip", True),
    ],
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_used(tmp_path, caplog, name, damage, hold):
    kept = Checkpoints(tmp_path)
    kept.save(1, state(1))
    path = kept.save(2, state(2)) / name
    content = path.read_bytes()
    if damage == "flip":
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    else:
        path.unlink()
        if damage == "pipe":  # nobody ever writes into it
            os.mkfifo(path)
    with caplog.at_level(logging.WARNING, "privkd"), kept.held() if hold else nullcontext():
        step, found = kept.latest()
    assert (step, found["step"]) == (1, 1)
    assert "step-000000002 is damaged" in caplog.text
    assert "that of step 1 is used" in caplog.text
    assert names(tmp_path) == ["damaged-step-000000002"] * hold + ["step-000000001"] + ["step-000000002"] * (not hold)


def test_what_a_kill_left_half_written_is_never_read_and_deleted_by_the_holder_alone(tmp_path):
    kept = Checkpoints(tmp_path)
    kept.save(1, state(1))
    for name in (
        ".unfinished-1",
        ".unfinished-step-000000002",
        ".replaced-step-000000003",
        ".discarded-step-000000004",
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "state.json").write_text("{")
    with kept.held():
        before = names(tmp_path)
        assert Checkpoints(tmp_path).latest()[0] == 1  # another process, or a reader
        assert names(tmp_path) == before
        assert kept.latest()[0] == 1
    assert names(tmp_path) == ["step-000000001"]


def test_a_reader_beside_the_holder_is_not_misled_by_a_renaming(tmp_path, monkeypatch):
    kept = Checkpoints(tmp_path)
    kept.save(1, state(1))
    kept.save(2, state(2)).rename(tmp_path / ".unfinished-step-000000002")  # killed just before its last renaming
    read, calls = checkpoints._read, []

    def overtaken(path):
        calls.append(path.name)
        if len(calls) == 1:
            with kept.held():
                (tmp_path / ".unfinished-step-000000002").rename(tmp_path / "step-000000002")
        return read(path)

    monkeypatch.setattr(checkpoints, "_read", overtaken)
    assert Checkpoints(tmp_path).latest()[0] == 2
    assert calls == [".unfinished-step-000000002", "step-000000001", "step-000000002"]


FULL = [
    OSError(errno.ENOSPC, "No space left on device"),
    SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
]


@pytest.mark.parametrize("error", FULL, ids=["python", "safetensors"])
def test_a_full_disk_is_told_and_loses_nothing(tmp_path, monkeypatch, error):
    kept = Checkpoints(tmp_path)

    def full(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save_file", full)
        with pytest.raises(
            CheckpointError, match=r"step 2 .* disk is full; there is no earlier one: make room and start"
        ):
            kept.save(2, state(2))
    assert kept.latest() is None
    kept.save(1, state(1))
    monkeypatch.setattr(checkpoints, "save_file", full)
    told = r"step 2 .* disk is full; .* untouched: make room .* from that of step 1"
    with pytest.raises(CheckpointError, match=told):
        kept.save(2, state(2))
    assert names(tmp_path) == ["step-000000001"]
    assert kept.latest()[0] == 1


def test_a_folder_that_is_gone_is_told_as_such(tmp_path):
    kept = Checkpoints(tmp_path / "run")
    with kept.held():
        kept.save(1, state(1))
        shutil.rmtree(tmp_path / "run")
        with pytest.raises(
            CheckpointError, match=r"step 2 .* is not there any more, nor are its checkpoints"
        ) as refused:
            kept.save(2, state(2))
        assert "untouched" not in str(refused.value)
        for look in (kept.latest, kept.steps):
            with pytest.raises(CheckpointError, match="is not there any more"):
                look()
        (tmp_path / "run").write_text("now a file")
        with pytest.raises(CheckpointError, match="is no folder"):
            kept.save(3, state(3))
    with pytest.raises(CheckpointError, match=r"lock cannot be opened: .* is no folder"):
        kept.save(3, state(3))
    assert (tmp_path / "run").read_text() == "now a file"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_folder_that_cannot_be_written_can_be_read_and_says_so(tmp_path, monkeypatch, number):
    kept, opened = Checkpoints(tmp_path), os.open
    kept.save(1, state(1))

    def refused(path, flags=os.O_CREAT, *args, **kwargs):
        if flags & os.O_CREAT:
            raise OSError(number, os.strerror(number), str(path))
        return opened(path, flags, *args, **kwargs)

    with kept.held():
        monkeypatch.setattr(os, "mkdir", lambda path, *_: refused(path))
        with pytest.raises(CheckpointError, match=r"step 2 .* cannot be written .*untouched: make it writable"):
            kept.save(2, state(2))
    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(CheckpointError, match=r"lock cannot be opened: .* cannot be written .*; make it writable"):
        kept.save(2, state(2))
    assert Checkpoints(tmp_path).latest()[0] == 1
    assert names(tmp_path) == ["step-000000001"]


def failing_to_open(monkeypatch, number, where):
    """Make opening fail for reading what `where` says."""
    opened = os.open

    def failing(path, flags, *args, **kwargs):
        if not flags & os.O_CREAT and where(Path(path), flags):
            raise OSError(number, os.strerror(number), str(path))
        return opened(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", failing)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EMFILE])
def test_a_checkpoint_that_cannot_be_read_now_is_not_taken_for_damaged(tmp_path, monkeypatch, number):
    kept = Checkpoints(tmp_path)
    for step in (1, 2):
        kept.save(step, state(step))
    failing_to_open(monkeypatch, number, lambda path, flags: path.parent.name == "step-000000002")
    told = rf"step-000000002 cannot be read .*{os.strerror(number)}.* may be whole"
    with kept.held(), pytest.raises(CheckpointError, match=told):
        kept.latest()
    assert names(tmp_path) == ["step-000000001", "step-000000002"]


def test_a_checkpoint_that_may_not_have_reached_the_disk_is_not_taken_for_written(tmp_path, monkeypatch):
    kept = Checkpoints(tmp_path, keep=1)
    kept.save(1, state(1))
    failing_to_open(monkeypatch, errno.EMFILE, lambda path, flags: flags == os.O_RDONLY and path.name == "state.json")
    with pytest.raises(CheckpointError, match=r"step 2 was not written .*Too many open files"):
        kept.save(2, state(2))
    assert kept.steps() == [1]


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(CheckpointError, match="exists and is no folder; choose another"):
        Checkpoints(tmp_path / "file")
    with pytest.raises(CheckpointError, match=r"cannot be made: .*Not a directory"):
        Checkpoints(tmp_path / "file" / "run")
    assert (tmp_path / "file").read_text() == "mine"


def test_state_that_cannot_be_written_as_data_is_refused(tmp_path):
    with pytest.raises(TypeError, match=r"state\['bad'\], a set"):
        Checkpoints(tmp_path).save(1, {"bad": {1, 2}})
    assert Checkpoints(tmp_path).latest() is None
    assert names(tmp_path) == []


def test_two_runs_cannot_write_into_one_folder(tmp_path):
    first, second = Checkpoints(tmp_path), Checkpoints(tmp_path)
    with first.held():
        first.save(1, state(1))
        with pytest.raises(CheckpointError, match=r"in use by another run \(process"):
            second.save(2, state(2))
        with pytest.raises(CheckpointError, match="in use"), second.held():
            pass
        assert second.latest()[0] == 1
    second.save(2, state(2))
    assert first.steps() == [1, 2]
