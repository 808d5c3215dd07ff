"""Checkpoints come back bit for bit, are whole or absent, and a damaged one is passed over."""

import errno
import logging

import pytest
import torch

from privkd.errors import CheckpointError
from privkd.trainer import Checkpoints, checkpoints


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


def test_only_the_latest_are_kept(tmp_path):
    kept = Checkpoints(tmp_path, keep=2)
    for step in (1, 20, 300):
        kept.save(step, state(step))
    assert kept.steps() == [20, 300]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000000020", "step-000000300"]


@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json", "checksums.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_used(tmp_path, caplog, name, damage):
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
    with caplog.at_level(logging.WARNING, "privkd"):
        step, found = kept.latest()
    assert (step, found["step"]) == (1, 1)
    assert "step-000000002" in caplog.text


def test_what_a_kill_left_half_written_is_never_read(tmp_path):
    kept = Checkpoints(tmp_path)
    kept.save(1, state(1))
    (tmp_path / ".unfinished-1").mkdir()
    (tmp_path / ".unfinished-1" / "state.json").write_text("{")
    assert kept.latest()[0] == 1
    assert not list(tmp_path.glob(".unfinished-*"))


def test_a_full_disk_is_told_and_loses_nothing(tmp_path, monkeypatch):
    kept = Checkpoints(tmp_path)
    kept.save(1, state(1))

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints, "save_file", full)
    with pytest.raises(CheckpointError, match=r"step 2 .* disk is full.*make\s+room"):
        kept.save(2, state(2))
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000001"]
    assert kept.latest()[0] == 1


def test_state_that_cannot_be_written_as_data_is_refused(tmp_path):
    with pytest.raises(TypeError, match="set"):
        Checkpoints(tmp_path).save(1, {"bad": {1, 2}})
    assert Checkpoints(tmp_path).latest() is None
