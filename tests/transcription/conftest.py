"""Small teachers and data for the transcription tests."""

import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

from privkd import TeacherEnsemble
from privkd.data import digits
from privkd.trainer import seeded

KEY = bytes(range(32))


@pytest.fixture(scope="session")
def data():
    return digits(seed=0)


@pytest.fixture
def ensemble(data):
    return TeacherEnsemble.fit(
        lambda: KNeighborsClassifier(1), data.private.inputs, data.private.labels, teachers=50, key=KEY
    )


@pytest.fixture(scope="session")
def trained(data):
    """A plain network trained on the private digits, without any privacy."""
    with seeded(0):
        module = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
        optimizer = torch.optim.Adam(module.parameters(), lr=3e-3)
        for _ in range(150):
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(data.private.inputs), data.private.labels).backward()
            optimizer.step()
    return module.eval()


@pytest.fixture
def accuracy(data):
    def measure(module):
        with torch.no_grad():
            return (module(data.test.inputs).argmax(1) == data.test.labels).double().mean().item()

    return measure
