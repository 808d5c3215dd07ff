"""A private run counts into the caller's ledger, and its certificate is true however later releases were chosen."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from accountants import GNMax, Ledger
from privkd.certificates.scopes import rounded_up
from privkd.errors import BudgetExceeded, LedgerError
from privkd.mechanisms import BoundedSum, SystemNoise
from privkd.private_training import PrivateGradients
from privkd.trainer import Task, Trainer


class Classify(Task):
    def __init__(self):
        net = nn.Linear(4, 3)
        super().__init__(modules={"net": net}, optimizers=[torch.optim.SGD(net.parameters(), lr=0.1)])

    def per_record(self, batch, context):
        x, y = batch.tensors
        return {"cross-entropy": functional.cross_entropy(self.modules["net"](x), y, reduction="none")}


def trained(ledger, *, folder=None, **noise):
    x, y = torch.rand(200, 4), torch.arange(200) % 3
    private = PrivateGradients(**(noise or {"epsilon": 1.0}), delta=1e-5, clip=1.0)
    return Trainer(steps=3, batch_size=50, privacy=private, ledger=ledger, folder=folder).run(Classify(), (x, y))


def test_a_certificate_is_about_its_run_alone_and_names_what_the_common_ledger_counts(tmp_path):
    ledger = Ledger.open(tmp_path / "records.json", adjacency="replace-one", delta=1e-5, n=200)
    first = trained(ledger).certificate
    ledger.charge(GNMax(sigma=30.0), where="votes")
    second = trained(ledger).certificate
    for one in (first, second):
        assert one.verify().upper <= one.epsilon <= 1.0
        assert one.ledger is not ledger
        assert len(one.ledger.charges) == 1
    assert "no other release is made from these records, before or after (several compose)" in first.conditions
    assert f"epsilon <= {rounded_up(ledger.epsilon().upper)} at the same delta" in str(second)
    assert f"<= {rounded_up(ledger.adaptive_epsilon())} however they were chosen" in str(second)
    assert [charge.where for charge in ledger.charges][1] == "votes"
    assert len(ledger.charges) == 3
    assert not ledger.claims


@pytest.mark.parametrize("in_file", [True, False])
def test_noise_that_was_chosen_after_looking_at_earlier_runs_is_covered_by_the_budget(tmp_path, in_file):
    budget = {"adjacency": "add-remove", "epsilon": 6.0, "delta": 1e-5}
    ledger = Ledger.open(tmp_path / "records.json", **budget) if in_file else Ledger(**budget, shared=True)
    made = [trained(ledger, multiplier=noise).certificate for noise in (20.0, 10.0, 6.0)]
    for certificate in made:
        assert len(certificate.mechanisms) == 1
        assert certificate.epsilon < ledger.epsilon().upper  # never the price of a plan that nobody had made
        assert "all of them together within epsilon = 6.0 at delta = 1e-05, whatever is asked later" in str(certificate)


def test_one_certificate_covers_statistics_and_training_if_both_were_planned():
    ledger = Ledger(adjacency="add-remove", delta=1e-5)
    BoundedSum(20.0).release([torch.rand(200, 2) / 2], bound=1.0, ledger=ledger, noise=SystemNoise())
    both = trained(ledger).certificate
    assert both.verify().upper > 1.0
    assert both.epsilon == ledger.epsilon().upper
    chosen = rounded_up(ledger.adaptive_epsilon())
    planned = f"fixed in advance (however they were chosen: epsilon <= {chosen} at delta = 1e-05)"
    assert any(text.endswith(planned) for text in both.conditions)
    alone = trained(Ledger(adjacency="add-remove", delta=1e-5)).certificate
    assert "fixed in advance" not in str(alone)  # nothing else is in its ledger


def test_a_leak_or_seeded_noise_in_the_common_ledger_is_taken_over(tmp_path):
    leaky = Ledger.open(tmp_path / "leaky.json", adjacency="add-remove", delta=1e-5)
    leaky.disclose("Leak: a log was published")
    assert trained(leaky).certificate.scope == "none"
    seeded = Ledger.open(tmp_path / "seeded.json", adjacency="add-remove", delta=1e-5)
    seeded.disclose("noise was seeded")
    certificate = trained(seeded).certificate
    assert not certificate.secure_rng
    assert certificate.verify()


def test_a_run_never_writes_over_the_common_ledger_in_its_folder(tmp_path):
    ledger = Ledger.open(tmp_path / "ledger.json", adjacency="add-remove", delta=1e-5)
    ledger.charge(GNMax(sigma=30.0), where="votes")
    with pytest.raises(LedgerError, match="Choose another folder"):
        trained(ledger, folder=tmp_path)
    assert [charge.where for charge in Ledger.read(tmp_path / "ledger.json").charges] == ["votes"]


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
