"""A run that was killed and started again ends exactly as one that was not."""

import hashlib
import importlib.util
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from privkd.errors import TrainingStopped
from privkd.trainer import Checkpoints, Stage, Trainer

RUN = Path(__file__).with_name("dropped_run.py")
_spec = importlib.util.spec_from_file_location("dropped_run", RUN)
dropped_run = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(dropped_run)
Game, main = dropped_run.Game, dropped_run.main


def digest(folder):
    """Of everything a finished run leaves behind, but for what differs by time."""
    step, state = Checkpoints(Path(folder) / "checkpoints").latest()
    total = hashlib.sha256(str(step).encode())

    def feed(value):
        if isinstance(value, torch.Tensor):
            total.update(value.numpy().tobytes())
        elif isinstance(value, dict):
            for key, one in value.items():
                total.update(str(key).encode())
                feed(one)
        elif isinstance(value, list | tuple):
            for one in value:
                feed(one)
        else:
            total.update(repr(value).encode())

    del state["processes"][0]["random"]["python"]  # the run-time type checker of the tests draws from it
    feed(state)
    total.update((Path(folder) / "metrics.jsonl").read_bytes())
    return total.hexdigest()


def start(folder):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, str(RUN), str(folder)], env=environment, stderr=subprocess.PIPE)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    main(str(folder))
    return digest(folder)


def killed_until_done(folder, moments):
    """Kill the run some time after its first checkpoint appeared, again and again, then let it finish."""
    kills = 0
    for moment in moments:
        process = start(folder)
        known = len(list(Path(folder).glob("checkpoints/*/checksums.json")))
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if len(list(Path(folder).glob("checkpoints/step-*"))) != known or known:
                break
            time.sleep(0.001)
        time.sleep(moment)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
    assert start(folder).wait() == 0
    return kills


def test_killed_three_times_it_ends_bit_for_bit_the_same(uninterrupted, tmp_path):
    assert killed_until_done(tmp_path, [0.005, 0.02, 0.05]) >= 1
    assert digest(tmp_path) == uninterrupted


@pytest.mark.proof
def test_killed_at_twenty_random_moments_it_ends_bit_for_bit_the_same(uninterrupted, tmp_path):
    moments = random.Random(1)
    kills = 0
    for attempt in range(5):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        kills += killed_until_done(folder, [moments.uniform(0, 0.15) for _ in range(6)])
        assert digest(folder) == uninterrupted
    assert kills >= 20


def test_state_that_is_not_kept_would_be_noticed(uninterrupted, tmp_path, monkeypatch):
    monkeypatch.setattr(Game, "state_dict", lambda self: {})
    monkeypatch.setattr(Game, "load_state_dict", lambda self, state: None)
    stopped_after(tmp_path, 55, monkeypatch)
    monkeypatch.undo()
    monkeypatch.setattr(Game, "load_state_dict", lambda self, state: None)
    main(str(tmp_path))
    assert digest(tmp_path) != uninterrupted


def stopped_after(folder, steps, monkeypatch):
    """End a run in this process as SIGTERM would."""
    step, count = Game.step, []

    def counting(self, batch, context):
        count.append(1)
        if len(count) == steps:
            signal.raise_signal(signal.SIGTERM)
        yield from step(self, batch, context)

    with monkeypatch.context() as patch:
        patch.setattr(Game, "step", counting)
        with pytest.raises(TrainingStopped, match="start it again"):
            main(str(folder))


@pytest.mark.parametrize("steps", [1, 40, 41])  # the second stage begins after 40
def test_sigterm_saves_and_the_run_goes_on(uninterrupted, tmp_path, monkeypatch, steps):
    stopped_after(tmp_path, steps, monkeypatch)
    main(str(tmp_path))
    assert digest(tmp_path) == uninterrupted


def test_a_finished_run_is_not_run_again(uninterrupted, tmp_path, monkeypatch):
    first = main(str(tmp_path))
    monkeypatch.setattr(Game, "step", None)
    second = main(str(tmp_path))
    assert all(torch.equal(a, b) for a, b in zip(first.coder.parameters(), second.coder.parameters(), strict=True))
    assert torch.equal(first.averages["coder"][0].weight, second.averages["coder"][0].weight)


@pytest.mark.parametrize("lengths", [{"steps": 8}, {"epochs": 1}])
def test_checkpoints_of_a_later_stage_count_the_steps_of_earlier_ones(tmp_path, lengths):
    x = torch.randn(128, 16)
    stages = [Stage("first", Game(), (x,), batch_size=16, **lengths), Stage("second", Game(), (x,), steps=7)]
    Trainer(steps=1, folder=tmp_path, checkpoint_every=3, keep=3).run(stages)
    assert Checkpoints(tmp_path / "checkpoints").steps() == [11, 14, 15]
