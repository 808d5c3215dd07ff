"""The digits protocol of the proofs: 1100 private, 400 public unlabelled, 297 test, delta 1e-4, five seeds."""

import functools
import warnings
from types import SimpleNamespace

import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

import privkd
from privkd.data import digits
from privkd.trainer import seeded

SEEDS = range(5)
DELTA = 1e-4


@functools.cache
def split(seed):
    return digits(seed=seed)


def hundred_teachers(seed):
    """One-nearest-neighbour teachers on about eleven records each."""
    private = split(seed).private
    return privkd.TeacherEnsemble.fit(lambda: KNeighborsClassifier(1), private.inputs, private.labels, teachers=100)


@functools.cache
def single_teacher(seed):
    """An MLP 64-128-64-10 on all private records, without any privacy; about 97 % right."""
    private = split(seed).private
    with seeded(seed):
        module = nn.Sequential(
            nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)
        )  # fmt: skip
        optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
        for _ in range(60):
            for rows in torch.randperm(len(private)).split(128):
                optimizer.zero_grad()
                nn.functional.cross_entropy(module(private.inputs[rows]), private.labels[rows]).backward()
                optimizer.step()
    return module.eval()


def agreement(module, inputs, expected):
    """Share of inputs on which the module says what is expected."""
    with torch.no_grad():
        return (module(inputs).argmax(dim=1) == expected).double().mean().item()


def accuracy(module, seed):
    """Accuracy on the test records of a seed."""
    test = split(seed).test
    return agreement(module, test.inputs, test.labels)


@pytest.fixture(autouse=True)
def quiet():
    """The protocol's delta is above 1/(10 n), and bare modules are transcribed on purpose."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", privkd.PrivacyScopeWarning)
        yield


@pytest.fixture(scope="session")
def protocol():
    """Everything above, by name."""
    return SimpleNamespace(
        seeds=SEEDS,
        delta=DELTA,
        split=split,
        hundred_teachers=hundred_teachers,
        single_teacher=single_teacher,
        agreement=agreement,
        accuracy=accuracy,
    )
