"""Shared by tests of networks: the same random weights in every run."""

import pytest
import torch


@pytest.fixture(autouse=True)
def same_weights():
    torch.manual_seed(0)
