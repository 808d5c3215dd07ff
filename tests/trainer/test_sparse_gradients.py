"""Tables with sparse gradients train with the optimisers that take them."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from privkd.errors import NonFiniteLoss, TaskError
from privkd.trainer import Task, Trainer, seeded


class Words(Task):
    def __init__(self, optimizer, scale=1.0):
        with seeded(0):
            self.table = nn.Embedding(11, 3, sparse=True)
        super().__init__(modules={"table": self.table}, optimizers=[optimizer(list(self.table.parameters()))])
        self.scale = scale

    def step(self, batch, context):
        tokens, y = batch.tensors
        return {"ce": self.scale * functional.cross_entropy(self.modules["table"](tokens).mean(1), y)}


def rows():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 11, (32, 4), generator=generator), torch.randint(0, 3, (32,), generator=generator)


def descent(parameters):
    return torch.optim.SGD(parameters, lr=0.1)


@pytest.mark.parametrize("optimizer", [descent, torch.optim.Adagrad, torch.optim.SparseAdam])
def test_sparse_gradients_train_as_they_do_by_hand(optimizer, tmp_path):
    task, twin = Words(optimizer), Words(optimizer)
    Trainer(steps=5, batch_size=32, folder=tmp_path, checkpoint_every=2).run(task, rows())
    tokens, y = rows()
    for _ in range(5):  # the batch is all rows, so their order has no meaning
        twin.optimizers["0"].zero_grad()
        functional.cross_entropy(twin.table(tokens).mean(1), y).backward()
        twin.optimizers["0"].step()
    assert torch.allclose(task.table.weight, twin.table.weight, atol=1e-6)


def test_a_sparse_gradient_that_is_not_finite_is_named():
    class Rooted(Words):
        def step(self, batch, context):
            out = self.modules["table"](batch.tensors[0])
            return {"root": (out - out.detach()).square().sum().sqrt()}

    with pytest.raises(NonFiniteLoss, match=r"gradient of table\.weight is not finite"):
        Trainer(steps=2, batch_size=8).run(Rooted(descent), rows())


def test_a_norm_of_sparse_gradients_is_refused_in_words():
    with pytest.raises(TaskError, match=r"clip_norm=1\.0 needs the norm of gradients that are sparse"):
        Trainer(steps=2, batch_size=8, clip_norm=1.0).run(Words(descent), rows())
