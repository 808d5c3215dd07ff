"""Non-interference: with the mechanisms' output held fixed, nothing that comes out of a method depends on private data.

A method subclasses `NonInterference` and gives `release`. Teachers are asked to misbehave in every way that we could think of:
they work in place, draw random numbers, keep state, warn, log, print, and fail on what they saw, with global state half set.
"""

import decimal
import io
import json
import logging
import os
import random
import re
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout

import numpy as np
import pytest
import sklearn
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

from privkd import mechanisms
from privkd.trainer import seeded
from privkd.transcription import student_training as distilling

PLAIN, ODD = "a plain teacher", "a teacher that misbehaves"
CLASSES, WIDTH = 3, 4


def public_queries():
    return torch.rand(40, WIDTH, generator=torch.Generator().manual_seed(0))


class Private:
    """Private data of one world, and teachers made from them."""

    def __init__(self, world: int, kind: str) -> None:
        draw = np.random.default_rng(world)
        self.inputs = draw.random((120, WIDTH)).astype(np.float32)
        self.labels = draw.integers(0, CLASSES, 120)
        self.world, self.kind = world, kind

    def model(self):
        return KNeighborsClassifier(1) if self.kind == PLAIN else OddClassifier()

    def module(self):
        with seeded(self.world):
            return nn.Sequential(nn.Linear(WIDTH, CLASSES)) if self.kind == PLAIN else OddModule(self.world)


def misbehave(values, seen: float) -> None:
    """Everything that a teacher may do besides answering."""
    sys.stdout.write(f"saw {seen}\n")
    warnings.warn(f"saw {seen}", stacklevel=2)
    logging.getLogger("privkd.teachers").error("saw %s", seen)
    torch.rand(int(seen * 7) % 5 + 1), np.random.rand(int(seen * 11) % 5 + 1), random.random()
    torch.set_default_dtype(torch.float64)
    values -= seen


def set_half(seen: float) -> None:
    """What a teacher sets for a while and, as it fails, does not put back."""
    np.seterr(all="raise")
    decimal.getcontext().prec = 3
    sklearn.set_config(transform_output="pandas", assume_finite=True)
    torch.set_default_device("meta")
    torch.set_grad_enabled(False)
    torch.autograd.set_detect_anomaly(True)
    torch.use_deterministic_algorithms(True)
    torch.set_flush_denormal(True)
    torch.set_autocast_enabled("cpu", True)
    warnings.simplefilter("error")
    logging.getLogger("privkd").setLevel(int(seen * 100))
    os.environ["SEEN"] = str(seen)
    os.chdir("/")
    sys.path.insert(0, str(seen))
    sys.setrecursionlimit(5000 + int(seen * 100))


def global_state() -> str:
    """What `set_half` changes."""
    torchs = torch.is_grad_enabled(), torch.is_anomaly_enabled(), torch.are_deterministic_algorithms_enabled()
    devices = torch.get_default_device(), torch.get_default_dtype(), torch.is_autocast_enabled("cpu")
    libraries = np.geterr(), decimal.getcontext().prec, sorted(sklearn.get_config().items())
    python = os.environ.get("SEEN"), os.getcwd(), sys.path, sys.getrecursionlimit()
    return repr((torchs, devices, libraries, python, logging.getLogger("privkd").level))


class OddClassifier:
    """Counts how often it is asked, fails on some shards, and works in place."""

    def fit(self, x, y):
        self.seen_, self.asked_ = float(x.mean()), 0
        misbehave(x, self.seen_)
        self.inner_ = KNeighborsClassifier(1).fit(x, y)
        if self.seen_ > 0.53:
            set_half(self.seen_)
            raise RuntimeError(f"saw {x[0]}")
        return self

    def predict(self, x):
        self.asked_ += 1
        misbehave(x, self.seen_)
        if self.seen_ > 0.5:
            set_half(self.seen_)
            raise KeyError(f"saw {x[0]}")
        return (self.inner_.predict(x) + self.asked_) % CLASSES


class OddModule(nn.Module):
    """The same as a network: state, failures and NaN on some inputs."""

    def __init__(self, world):
        super().__init__()
        self.last, self.world, self.asked = nn.Linear(WIDTH, CLASSES), world, 0

    def forward(self, x):
        self.asked += 1
        out = self.last(x)
        bad = x[:, 0] > 1 / (1 + self.world)
        misbehave(x, 0.1 * self.world)
        if bool(bad.any()) and self.asked % 2:
            set_half(0.1 * self.world)
            raise ValueError(f"saw {x[0]}")
        return torch.where(bad[:, None], torch.nan, out)


class NonInterference:
    """Subclass it, and give `release(private)`: a transcription from `private`, seeded, without random settings."""

    @pytest.mark.parametrize("kind", [PLAIN, ODD])
    def test_nothing_but_the_mechanisms_output_depends_on_private_data(self, kind, monkeypatch):
        held = Held(monkeypatch)
        monkeypatch.setattr(distilling, "_LEAST_STEPS", 20)  # what a student learns from shows in few steps
        one, other = (self.everything(Private(world, kind), held) for world in (1, 2))
        assert held.outputs, "no mechanism was asked"
        differ = [name for name in one if one[name] != other[name]]
        assert not differ, f"depends on private data: {', '.join(differ)}"

    def release(self, private: Private):
        raise NotImplementedError

    def everything(self, private: Private, held: "Held") -> dict:
        """All that comes out of one call."""
        held.begin()
        printed, lines = io.StringIO(), logging.StreamHandler(io.StringIO())
        root = logging.getLogger()
        root.addHandler(lines)
        try:
            with (
                warnings.catch_warnings(record=True) as said,
                redirect_stdout(printed),
                redirect_stderr(printed),
                seeded(0),
            ):
                warnings.simplefilter("always")
                made = self.release(private)
                drawn = torch.rand(1).item(), np.random.rand()  # type checkers draw from Python's generator
        finally:
            root.removeHandler(lines)
        ledger = json.dumps(made.ledger.to_dict())
        return {
            "weights": {name: value.numpy().tobytes() for name, value in made.student.state_dict().items()},
            "certificate": re.sub(r"[0-9a-f]{64}", "", json.dumps(made.certificate.to_dict(), sort_keys=True)),
            "ledger": re.sub(r'"(time|hash|previous|head)": "[^"]*"|sha256:[0-9a-f]{64}', "", ledger),
            "history": made.history,
            "spec": repr(made.spec),
            "printed": printed.getvalue(),
            "logged": re.sub(r"[0-9.]+ ?s\b", "", lines.stream.getvalue()),
            "warned": sorted(str(warning.message) for warning in said),
            "global random state": drawn,
            "global state": global_state(),
        }


class Held:
    """Mechanisms draw and charge as ever, but give the outcomes of the first run again."""

    def __init__(self, monkeypatch) -> None:
        self.outputs, self._place, self._depth = [], 0, 0
        kinds = [getattr(mechanisms, name) for name in mechanisms.__all__]
        for kind in {kind for kind in kinds if isinstance(kind, type) and "release" in vars(kind)}:
            monkeypatch.setattr(kind, "release", self._holding(kind.release))

    def begin(self) -> None:
        self._place = 0

    def _holding(self, drawn):
        def release(mechanism, *args, **settings):
            self._depth += 1
            try:
                fresh = drawn(mechanism, *args, **settings)
            finally:
                self._depth -= 1
            if self._depth:  # a mechanism inside another one
                return fresh
            self._place += 1
            if self._place > len(self.outputs):
                self.outputs.append(fresh.clone())
            return self.outputs[self._place - 1].clone()

        return release
