"""Nothing of private rows is kept, shown or drawn where an attacker may see it."""

import warnings

import pytest
import torch
from battery.private_runs import Linear, N, rows, trained
from torch import nn

from privkd.trainer import seeded


def test_losses_are_kept_quiet_unless_asked_and_then_nothing_is_guaranteed(tmp_path):
    class Validating(Linear):
        def validate(self, context):
            raise AssertionError("figures of private rows would be a leak")

    _, quiet = trained(Validating(), trainer={"folder": tmp_path})
    assert quiet.names == ["step"]
    assert "square" not in (tmp_path / "metrics.jsonl").read_text()
    _, loud = trained(trainer={"unsafe_logging": True})
    assert "loss" in loud.names
    assert loud.certificate.scope == "none"
    assert "without noise" in str(loud.certificate)


def test_masks_are_secret_whatever_the_seed():
    class Dropped(Linear):
        def per_record(self, batch, context):
            noisy = torch.randn(3, generator=context.generator)
            self.drawn = (*getattr(self, "drawn", ()), (*noisy.tolist(), float(torch.rand(()))))
            return super().per_record(batch, context)

    one, two = (trained(Dropped(), steps=4, trainer={"seed": 0})[0].drawn for _ in range(2))
    assert not set(one) & set(two)


class Talkative(Linear):
    """Says something of its rows."""

    def per_record(self, batch, context):
        warnings.warn(f"seen: {batch.tensors[0][:1].tolist()}", stacklevel=1)
        return super().per_record(batch, context)


def test_warnings_of_a_private_run_are_kept_quiet():
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        trained(Talkative(), steps=3)
    assert not [one for one in told if "seen" in str(one.message)]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        trained(Talkative(), steps=3, trainer={"unsafe_logging": True})
    assert [one for one in told if "seen" in str(one.message)]


class Keeping(nn.Module):
    """Keeps what it saw, as models do whose features or attention maps are looked at later."""

    def __init__(self):
        super().__init__()
        with seeded(0):
            self.layer = nn.Linear(5, 1)
        self.features, self.count = None, 0

    def forward(self, x):
        self.features = self.layer(x)
        self.count += len(x)
        return self.features


@pytest.mark.parametrize("frozen", [False, True])
def test_modules_keep_nothing_of_private_rows(frozen):
    class Teaching(Linear):
        def per_record(self, batch, context):
            hint = self.frozen["teacher"](batch.tensors[0]) if frozen else self.modules["keeper"](batch.tensors[0])
            return {"square": super().per_record(batch, context)["square"] + 0.0 * hint.squeeze(1)}

    keeper, task = Keeping(), Teaching(frozen={"teacher": Keeping()} if frozen else {})
    if not frozen:
        task.modules["keeper"] = keeper
        task.optimizers["0"].add_param_group({"params": list(keeper.parameters())})
    kept = task.frozen["teacher"] if frozen else keeper
    trained(task, steps=3)
    assert kept.features is None
    assert kept.count == 0
    kept(rows()[0])
    assert kept.count == N
