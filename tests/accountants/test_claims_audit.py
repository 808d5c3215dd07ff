"""The audit believes nothing that a ledger says about itself."""

import json
import math

import pytest

from accountants import AuditReport, Gaussian, GNMax, Ledger, PureDP, RandomizedResponse, audit, epsilon


def ledger_with(claimed=None, *, event=None, adjacency="replace-one", delta=1e-5, **kwargs):
    ledger = Ledger(adjacency=adjacency, n=10_000, **kwargs)
    ledger.charge(event if event is not None else GNMax(40.0) * 100)
    if claimed is not None:
        ledger.claim(claimed, delta, "test")
    return ledger


TRUTH = epsilon(GNMax(40.0) * 100, 1e-5, adjacency="replace-one")


@pytest.mark.parametrize(
    ("claimed", "status", "code"),
    [
        (TRUTH.upper, "PASS", 0),
        (TRUTH.upper * 1.049, "PASS", 0),
        (TRUTH.upper * 1.06, "PASS-LOOSE", 0),
        (math.inf, "PASS-LOOSE", 0),
        (TRUTH.lower * (1 - 1e-9), "FAIL", 1),
        (0.0, "FAIL", 1),
    ],
)
def test_verdicts_of_exact_ledgers(claimed, status, code):
    report = audit(ledger_with(claimed))
    assert [verdict.status for verdict in report.verdicts] == [status]
    assert report.exit_code == code
    assert report.verdicts[0].renyi_upper >= TRUTH.lower  # the second opinion was asked


def test_a_claim_between_the_bounds_is_unproven():
    mixture = GNMax(40.0) * 50 + RandomizedResponse(3, 0.1) * 20
    bound = epsilon(mixture, 1e-5, adjacency="replace-one")
    assert bound.method == "renyi"
    report = audit(ledger_with(0.5 * (bound.lower + bound.upper), event=mixture))
    assert report.verdicts[0].status == "UNPROVEN"
    assert report.exit_code == 2
    assert audit(ledger_with(bound.upper, event=mixture)).exit_code == 0


def test_a_claim_written_down_early_is_judged_on_everything():
    ledger = ledger_with(TRUTH.upper)
    assert audit(ledger).exit_code == 0
    ledger.charge(GNMax(10.0))
    assert audit(ledger).exit_code == 1


def test_one_false_claim_among_true_ones_fails():
    ledger = ledger_with(TRUTH.upper)
    ledger.claim(TRUTH.lower / 2, 1e-5, "hope")
    assert audit(ledger).exit_code == 1


def test_a_ledger_without_claims_proves_nothing():
    report = audit(ledger_with())
    assert report.exit_code == 2
    assert any("no claim" in flag for flag in report.flags)


def test_flags():
    ledger = Ledger(adjacency="replace-one", epsilon=5.0, delta=1e-5, n=100_000)
    ledger.charge(PureDP(0.1))
    ledger.claim(0.2, 1e-5, "test")
    ledger.disclose("noise SEED=0 in a test")
    text = "\n".join(audit(ledger).flags)
    assert "delta=1e-05 is not below 1/n=1e-05" in text
    assert "seeded noise" in text
    assert "over budget" not in text
    quiet = audit(ledger_with(TRUTH.upper))
    assert quiet.flags == ()


def test_a_ledger_over_its_own_budget_is_flagged(tmp_path):
    from accountants.ledger.chain import canonical_digest, header_of, link

    ledger = Ledger(adjacency="add-remove", epsilon=5.0, delta=1e-5, n=1000)
    ledger.charge(Gaussian(1.0))
    document = ledger.to_dict()
    document["epsilon"] = 1.0  # the budget was tightened afterwards, and the chain rebuilt
    document["events"] = [link(document["events"][0], index=0, previous=canonical_digest(header_of(document)))]
    document["head"] = document["events"][0]["hash"]
    (tmp_path / "x.json").write_text(json.dumps(document))
    assert any("over budget" in flag for flag in audit(Ledger.read(tmp_path / "x.json")).flags)


def test_two_contradicting_accountants_are_an_internal_error(monkeypatch):
    monkeypatch.setattr("accountants.composition.rdp_epsilon", lambda parts, delta: (0.01, 2.0))
    report = audit(ledger_with(TRUTH.upper))
    assert report.verdicts[0].status == "INTERNAL-ERROR"
    assert report.exit_code == 3


def test_claims_at_delta_zero():
    event = PureDP(0.5) * 2
    assert audit(ledger_with(1.0, event=event, delta=0.0)).verdicts[0].status in ("PASS", "UNPROVEN")
    assert audit(ledger_with(1.01, event=event, delta=0.0)).verdicts[0].status == "PASS"
    assert audit(ledger_with(0.99, event=event, delta=0.0)).verdicts[0].status == "FAIL"
    assert audit(ledger_with(50.0, delta=0.0)).verdicts[0].status == "FAIL"  # Gaussians are never pure


def test_training_runs_are_judged_from_above():
    event = Gaussian(1.1).poisson(0.01) * 1000
    good = ledger_with(1.72, event=event, adjacency="add-remove")
    assert audit(good).verdicts[0].status == "PASS-LOOSE"
    assert audit(good).exit_code == 0
    assert audit(ledger_with(1.0, event=event, adjacency="add-remove")).exit_code == 2


def test_the_report_is_json_and_text():
    report = audit(ledger_with(math.inf))
    assert isinstance(report, AuditReport)
    written = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert written["exit_code"] == 0
    assert written["verdicts"][0]["epsilon"] == "inf"
    assert "PASS-LOOSE: epsilon=inf" in str(report)
    assert report.digest in str(report)
