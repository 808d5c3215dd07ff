"""What only an accelerator can show: half precision, its resume, compiled modules."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from privkd.trainer import Task, Trainer, seeded

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator; none is here"),
]


class Digits(Task):
    def __init__(self):
        with seeded(0):
            net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
        super().__init__(modules={"net": net}, optimizers=[torch.optim.Adam(net.parameters(), lr=3e-3)])
        self.stop_at = -1

    def step(self, batch, context):
        if context.step == self.stop_at:
            raise KeyboardInterrupt
        x, y = batch.tensors
        return {"cross-entropy": functional.cross_entropy(self.modules["net"](x), y)}


def digits():
    from sklearn.datasets import load_digits

    found = load_digits()
    return torch.tensor(found.data / 16.0, dtype=torch.float32), torch.tensor(found.target)


def accuracy(task):
    x, y = digits()
    return float((task.modules["net"](x).argmax(dim=1) == y).float().mean())


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_every_precision_learns_and_the_module_comes_back_to_the_cpu_in_full_precision(precision):
    task = Digits()
    Trainer(steps=300, precision=precision, clip_norm=1.0).run(task, digits())
    assert accuracy(task) > 0.95
    assert {(p.device.type, p.dtype) for p in task.modules["net"].parameters()} == {("cpu", torch.float32)}


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_stopped_run_goes_on_with_the_same_scale_of_its_losses(tmp_path, precision):
    trainer = Trainer(steps=60, precision=precision, folder=tmp_path, checkpoint_every=20)
    task = Digits()
    task.stop_at = 47
    with pytest.raises(KeyboardInterrupt):
        trainer.run(task, digits())
    resumed, whole = Digits(), Digits()
    trainer.run(resumed, digits())
    Trainer(steps=60, precision=precision).run(whole, digits())
    for one, two in zip(resumed.modules["net"].parameters(), whole.modules["net"].parameters(), strict=True):
        assert torch.allclose(one, two, atol=1e-3)
