"""Small private data, public queries and teachers, for tests that look at rules and not at accuracy."""

import numpy as np
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

import privkd

CLASSES, WIDTH, RECORDS = 3, 4, 240
DELTA = 1e-4


def private(seed=0):
    draw = np.random.default_rng(seed)
    return draw.random((RECORDS, WIDTH)).astype(np.float32), draw.integers(0, CLASSES, RECORDS)


def queries(n=40):
    return torch.rand(n, WIDTH, generator=torch.Generator().manual_seed(1))


def ensemble(**settings):
    x, y = private()
    return privkd.TeacherEnsemble.fit(
        lambda: KNeighborsClassifier(1), x, y, **({"teachers": 12, "classes": CLASSES} | settings)
    )


def release(teacher, epsilon=3.0, **settings):
    chosen = {"queries": queries(), "seed": 1, "student": nn.Linear(WIDTH, CLASSES)} | settings
    return privkd.transcribe(teacher, epsilon, DELTA, **chosen)
