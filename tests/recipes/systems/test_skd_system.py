"""Selective knowledge distillation passes the battery of systems."""

import torch
from battery.system import System

from privkd.data.procedural import paired_faces


class TestSKD(System):
    name = "skd"
    settings = ("epochs=2", "teacher_epochs=2", "batch_size=16", "dim=16")

    def data(self):
        return paired_faces(6, 8, damaged=0.35, seed=1)

    def inputs(self, data):
        return {"student": (torch.zeros(2, *data.low.shape[1:]),)}
