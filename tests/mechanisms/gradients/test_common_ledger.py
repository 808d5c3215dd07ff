"""A private run counts into the caller's ledger, and its certificate stays provable when more is charged there."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from accountants import GNMax, Ledger
from privkd.errors import BudgetExceeded
from privkd.mechanisms import PrivateGradients
from privkd.trainer import Task, Trainer


class Classify(Task):
    def __init__(self):
        net = nn.Linear(4, 3)
        super().__init__(modules={"net": net}, optimizers=[torch.optim.SGD(net.parameters(), lr=0.1)])

    def per_record(self, batch, context):
        x, y = batch.tensors
        return {"cross-entropy": functional.cross_entropy(self.modules["net"](x), y, reduction="none")}


def trained(ledger, epsilon=1.0):
    x, y = torch.rand(200, 4), torch.arange(200) % 3
    private = PrivateGradients(epsilon=epsilon, delta=1e-5, clip=1.0)
    return Trainer(steps=3, batch_size=50, privacy=private, ledger=ledger).run(Classify(), (x, y))


def test_a_certificate_holds_after_later_charges_and_counts_earlier_ones(tmp_path):
    ledger = Ledger.open(tmp_path / "records.json", adjacency="replace-one", delta=1e-5, n=200)
    first = trained(ledger).certificate
    ledger.charge(GNMax(sigma=30.0), where="votes")
    second = trained(ledger).certificate
    assert first.verify().upper <= first.epsilon <= 1.0
    assert second.verify().upper > 1.2  # both runs and the votes
    assert "no other release is made from these records, before or after (several compose)" in first.conditions
    assert [charge.where for charge in ledger.charges][1] == "votes"
    assert len(ledger.charges) == 3
    assert not ledger.claims


def test_a_run_that_the_budget_has_no_room_for_is_refused_before_it_begins(tmp_path):
    ledger = Ledger.open(tmp_path / "records.json", adjacency="replace-one", epsilon=1.5, delta=1e-5, n=200)
    said = str(trained(ledger).certificate)
    assert "which keeps all of them together within epsilon = 1.5" in said
    with pytest.raises(BudgetExceeded):
        trained(ledger)
    assert len(ledger.charges) == 1


def test_a_snapshot_has_the_charges_and_disclosures_and_is_a_ledger_of_its_own(tmp_path):
    ledger = Ledger.open(tmp_path / "records.json", adjacency="replace-one", epsilon=5.0, delta=1e-5)
    ledger.charge(GNMax(sigma=9.0), where="votes", count=3)
    ledger.disclose("leak: a log was published")
    ledger.claim(3.0, 1e-5, "somebody")
    fresh = ledger.snapshot()
    fresh.charge(GNMax(sigma=0.1))
    assert fresh.events[:1] == ledger.events == (GNMax(sigma=9.0) * 3,)
    assert fresh.disclosed == ledger.disclosed
    assert (fresh.path, fresh.budget, fresh.claims) == (None, None, ())
