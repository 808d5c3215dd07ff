"""What a private run is charged, when, and what its certificate says."""

import json

import pytest
import torch
from battery.private_runs import BATCH, STEPS, Linear, N, trained

import privkd
from accountants import Gaussian, Ledger, audit, epsilon
from privkd.errors import BudgetExceeded, TaskError
from privkd.mechanisms import SeededNoise
from privkd.mechanisms.noise import NoiseSource
from privkd.private_training import Banded, PrivateGradients, Quantile


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"clip": Quantile(start=0.5)},
        {"sampling": "fixed-size"},
        {"sampling": "shuffled"},
        {"noise": Banded(4)},
        {"noise": Banded(10), "adjacency": "replace-one"},
        {"adjacency": "replace-one"},
    ],
)
def test_the_reached_epsilon_is_within_the_budget_and_close_to_it(settings):
    plan = PrivateGradients(epsilon=2.0, **settings).plan(rows=N, batch_size=BATCH, steps=STEPS)
    adjacency = settings.get("adjacency") or plan.draws.adjacencies[0]
    again = epsilon(plan.event, 1e-5, adjacency=adjacency)
    assert again.upper <= 2.0
    assert 2.0 - again.upper <= 2e-3


class Recording(NoiseSource):
    """Notes what the ledger held whenever something was drawn."""

    secure = True

    def __init__(self, ledger):
        self.ledger, self.held = ledger, []

    def words(self, count):
        self.held.append(len(self.ledger.events))
        return SeededNoise(len(self.held)).words(count)


def test_the_whole_run_is_charged_before_anything_is_drawn():
    ledger = Ledger(adjacency="add-remove", delta=1e-5)
    source = Recording(ledger)
    trained(trainer={"ledger": ledger}, source=source)
    assert len(source.held) >= 2 * STEPS
    assert set(source.held) == {1}
    assert ledger.events == (Gaussian(1.0).poisson(BATCH / N) * STEPS,)


def test_a_ledger_that_refuses_leaves_everything_as_it_was():
    ledger = Ledger(adjacency="add-remove", epsilon=0.1, delta=1e-5)
    source, task = Recording(ledger), Linear()
    before = task.net.weight.detach().clone()
    with pytest.raises(BudgetExceeded):
        trained(task, trainer={"ledger": ledger}, source=source)
    assert source.held == []
    assert torch.equal(task.net.weight, before)
    assert ledger.events == ()


def test_the_certificate_says_what_is_protected_and_follows_from_its_ledger(tmp_path):
    class System(SeededNoise):
        secure = True  # for this test alone: the sentence of a secure run, repeatable

    _, history = trained(trainer={"folder": tmp_path}, multiplier=None, epsilon=3.0, source=System(0))
    certificate = history.certificate
    assert certificate.scope == "training-record"
    assert certificate.epsilon <= 3.0
    assert "every iterate of the training may be seen" in str(certificate)
    assert "every record's gradient was clipped" in str(certificate)
    certificate.verify()
    report = audit(Ledger.read(tmp_path / "ledger.json"))
    assert list(report.flags) == []
    assert report.exit_code == 0
    assert json.loads((tmp_path / "certificate.json").read_text())["sentence"] == str(certificate)
    assert privkd.CertifiedModel(Linear().net, certificate).certificate is certificate


def test_seeded_noise_is_for_tests_and_the_certificate_says_so():
    _, history = trained()
    assert "VOID OUTSIDE TESTS" in str(history.certificate)
    assert "seeded" in history.certificate.ledger.disclosed[0]


def test_a_user_may_be_the_unit():
    assert trained(unit="training-user")[1].certificate.scope == "training-user"


def test_a_ledger_of_another_adjacency_decides_the_noise_or_is_refused():
    ledger = Ledger(adjacency="replace-one", delta=1e-5)
    _, history = trained(trainer={"ledger": ledger}, multiplier=None, epsilon=3.0, noise=Banded(4))
    assert history.certificate.adjacency == "replace-one"
    assert (
        ledger.events[0]
        == PrivateGradients(epsilon=3.0, noise=Banded(4), adjacency="replace-one")
        .plan(rows=N, batch_size=BATCH, steps=STEPS)
        .event
    )
    assert history.certificate.epsilon <= 3.0
    for given, settings, message in [
        (Ledger(adjacency="add-remove", delta=1e-5), {"noise": Banded(4)}, "stated for zero-out"),
        (Ledger(adjacency="add-remove", delta=1e-5), {"adjacency": "zero-out"}, "use one for both"),
        (Ledger(adjacency="add-remove", delta=1e-5, unit="training-user"), {}, "counts 'training-user'"),
        (Ledger(adjacency="add-remove", delta=1e-5, n=7), {}, "n=7"),
    ]:
        task = Linear()
        with pytest.raises(ValueError, match=message):
            trained(task, trainer={"ledger": given}, **settings)
        assert task.seen == []
        assert given.events == ()


def test_no_more_steps_than_charged_are_released():
    class Resetting(Linear):
        def on_epoch_start(self, context):
            if context.step == 10 and not hasattr(self, "once"):
                self.once = True
                context.step = 0

    task = Resetting()
    with pytest.raises(TaskError, match="charged for 20 steps"):
        trained(task)
    assert len(task.seen) == STEPS


def test_the_audit_flags_gradients_of_opacus_unless_the_layout_guard_is_disclosed():
    pytest.importorskip("opacus")
    _, history = trained(steps=2, strategy="opacus")
    guarded = history.certificate.ledger
    assert not [flag for flag in audit(guarded).flags if "opacus" in flag]
    bare = Ledger(adjacency="add-remove", n=N)
    bare.charge(Gaussian(1.0).poisson(0.1) * 2, where="opacus 1.6.0, ghost")
    assert [flag for flag in audit(bare).flags if "layout guard" in flag]
