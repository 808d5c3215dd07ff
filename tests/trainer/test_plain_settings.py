"""Numbers of numpy and torch, fractions and enums as settings are what they stand for, also in files."""

import enum
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import torch

from privkd.plain import plain
from privkd.private_training import PrivateGradients


class Word(enum.StrEnum):
    POISSON = "poisson"


class Number(enum.IntEnum):
    SIX = 6


@pytest.mark.parametrize(
    ("given", "value"),
    [
        (np.int64(6), 6), (np.uint8(6), 6), (np.array(6), 6), (torch.tensor(6), 6), (Number.SIX, 6), (np.float32(0.5), 0.5),
        (torch.tensor(0.5), 0.5), (Fraction(1, 2), 0.5), (np.True_, True), (Word.POISSON, "poisson"), (np.str_("p"), "p"),
        (None, None), (True, True), (10**400, 10**400),
    ],
)  # fmt: skip
def test_what_stands_for_a_plain_value_becomes_one(given, value):
    assert plain(given) == value
    assert type(plain(given)) is type(value)


def test_arrays_and_other_things_are_left_alone():
    several = np.ones(2)
    assert plain(several) is several
    assert plain(Number) is Number


def test_one_is_the_same_setting_as_a_whole_number_and_as_a_real_one():
    assert repr(PrivateGradients(epsilon=3)) == repr(PrivateGradients(epsilon=3.0))


_PROGRAM = """
import json, sys, tempfile
from dataclasses import fields
import numpy as np, torch
from torch import nn
from torch.nn import functional
from privkd.mechanisms import Automatic, Banded, BoundedSum, Flat, GNMax, KaryResponse, PerLayer, PrivateGradients, Quantile
from privkd.recipes.baselines.classifier import ClassifierConfig
from privkd.trainer import Stage, Task, Trainer
from privkd.trainer.seeding import mixed

class Classify(Task):
    def __init__(self):
        net = nn.Linear(4, 3)
        sgd = torch.optim.SGD(net.parameters(), lr=0.5)
        super().__init__(modules={"net": net}, optimizers=[sgd], averaged={"net": np.float32(0.5)})

    def per_record(self, batch, context):
        x, y = batch.tensors
        return {"ce": functional.cross_entropy(self.modules["net"](x), y, reduction="none")}

private = PrivateGradients(multiplier=np.float32(1.0), delta=np.float32(1e-5), views=np.int64(1), clip=np.int64(1))
settings = [
    private, Stage("one", Classify(), steps=np.int64(3), batch_size=torch.tensor(2)), Flat(np.float32(1)),
    Automatic(np.int64(1), stability=np.float64(0.1)), Banded(np.int64(3)), Quantile(start=np.int32(1)),
    BoundedSum(np.float64(2)), GNMax(np.int64(40)), KaryResponse(np.float32(1), np.int64(10)),
    ClassifierConfig(epochs=np.int64(2), lr=np.float32(0.25)),
]
for privacy in (None, private):
    folder = tempfile.mkdtemp()
    trainer = Trainer(
        folder=folder, privacy=privacy, steps=np.array(6), batch_size=torch.tensor(16), seed=np.int64(3),
        checkpoint_every=np.array(2), keep=np.int8(2), records=np.int64(3),
    )
    trainer.run(Classify(), (torch.randn(60, 4), torch.zeros(60, dtype=torch.long)))
    settings.append(trainer)
json.loads(open(folder + "/certificate.json").read())
for one in settings:
    for field in fields(one):
        value = getattr(one, field.name)
        assert not isinstance(value, np.generic | np.ndarray) and not torch.is_tensor(value), (one, field.name)
assert json.dumps(PerLayer({"": np.float32(0.5)}).bounds) == json.dumps({"": 0.5})
assert mixed(np.int64(2**40), np.int64(2**40)) == mixed(2**40, 2**40)
for steps in (np.float64(3.0), np.array([3]), np.True_, "3"):
    try:
        Trainer(steps=steps)
    except TypeError as error:
        assert "must be an integer" in str(error)
    else:
        raise AssertionError(steps)
print("all plain")
"""


def test_settings_are_plain_everywhere_and_runs_with_them_are_saved():
    # In a process of its own, as the type checks of these tests refuse such numbers at the door.
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=False)
    assert "all plain" in done.stdout, done.stderr
