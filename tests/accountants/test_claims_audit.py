"""The audit believes nothing that a ledger says about itself."""

import json
import math

import pytest

from accountants import AuditReport, Gaussian, GNMax, Ledger, PureDP, audit, epsilon
from accountants.bound import Bound
from accountants.errors import ResolutionError, UnsupportedEvent
from accountants.events import RDP


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
    assert all(other.lower <= TRUTH.upper and TRUTH.lower <= other.upper for other in report.verdicts[0].others)
    assert "renyi" in [other.method for other in report.verdicts[0].others]  # a second road was taken


def test_a_claim_between_the_bounds_is_unproven():
    # A curve known at a few orders has no lower end that is near it.
    curve = RDP((2.0, 4.0, 8.0, 16.0), (0.1, 0.2, 0.4, 0.8)) * 4
    bound = epsilon(curve, 1e-5, adjacency="replace-one")
    assert bound.method == "renyi"
    report = audit(ledger_with(0.5 * (bound.lower + bound.upper), event=curve))
    assert report.verdicts[0].status == "UNPROVEN"
    assert report.exit_code == 2
    assert audit(ledger_with(bound.upper, event=curve)).exit_code == 0


def test_an_open_claim_gets_one_narrower_attempt(monkeypatch):
    asked = []

    def recomputed(parts, delta, adjacency, method="auto", width=None, *, certain=None):
        asked.append((method, width))
        if method != "auto":
            raise UnsupportedEvent("none")
        return Bound(1.0, 2.0, "wide") if width is None else Bound(1.4, 1.49, "narrow")

    monkeypatch.setattr("accountants.auditing.audit.epsilon_of_parts", recomputed)
    verdict = audit(ledger_with(1.5)).verdicts[0]
    assert verdict.status.startswith("PASS")
    assert verdict.bound == Bound(1.4, 1.49, "narrow")
    assert [width for method, width in asked if method == "auto"] == [None, pytest.approx(0.1)]
    asked.clear()
    assert audit(ledger_with(1.45)).verdicts[0].status == "UNPROVEN"
    assert len([method for method, _ in asked if method == "auto"]) == 2  # and no third
    asked.clear()
    assert audit(ledger_with(2.5)).verdicts[0].status == "PASS-LOOSE"
    assert len([method for method, _ in asked if method == "auto"]) == 1


def test_every_pair_of_methods_must_share_a_point(monkeypatch):
    answers = {
        "auto": Bound(1.0, 1.1, "first"),
        "gaussian": Bound(0.9, 1.2, "gaussian"),
        "renyi": Bound(0.0, 3.0, "renyi"),
    }

    def recomputed(parts, delta, adjacency, method="auto", width=None, *, certain=None):
        if method not in answers:
            raise ResolutionError("not here")
        return answers[method]

    monkeypatch.setattr("accountants.auditing.audit.epsilon_of_parts", recomputed)
    verdict = audit(ledger_with(1.1)).verdicts[0]
    assert (verdict.status, [other.method for other in verdict.others]) == ("PASS-LOOSE", ["gaussian", "renyi"])
    answers["renyi"] = Bound(0.0, 0.89, "renyi")
    verdict = audit(ledger_with(1.1)).verdicts[0]
    assert verdict.status == "INTERNAL-ERROR"
    assert "contradicts renyi 0.89" in verdict.reason
    answers["renyi"] = Bound(0.0, 0.89, "pure")  # an answer by another road is no second opinion
    assert audit(ledger_with(1.1)).verdicts[0].status == "PASS-LOOSE"


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


@pytest.mark.parametrize(
    ("text", "flag", "answered"),
    [
        ("hyper-parameter search: 20 runs on private records", "hyper-parameter search", {"where": "search, 20 runs"}),
        ("tuning of the clipping norm on private data", "hyper-parameter search", {"where": "tuning"}),
        ("adaptive sigma", "adaptive choices without a filter", {"budget": 30.0}),
        (
            "data-dependent cost of the votes",
            "data-dependent cost",
            {"disclose": "released through smooth sensitivity"},
        ),
    ],
)
def test_disclosures_that_no_charge_answers_are_flagged(text, flag, answered):
    def flags(where="votes", disclose=None, budget=None):
        ledger = Ledger(adjacency="replace-one", n=10_000, epsilon=budget, delta=1e-5 if budget else None)
        ledger.charge(GNMax(40.0) * 100, where=where)
        ledger.claim(30.0, 1e-5, "test")
        ledger.disclose(text)
        if disclose is not None:
            ledger.disclose(disclose)
        return audit(ledger).flags

    assert len(flags()) == 1
    assert flag in flags()[0]
    assert flags(**answered) == ()


def test_a_claim_below_the_budget_does_not_hold_for_adaptive_choices():
    ledger = Ledger(adjacency="replace-one", n=10_000, epsilon=30.0, delta=1e-5)
    ledger.charge(GNMax(40.0) * 100)
    ledger.claim(2.0, 1e-5, "test")
    ledger.disclose("the number of queries was chosen adaptively")
    assert "only the budget 30 is proven" in audit(ledger).flags[0]


def test_a_data_dependent_accountant_is_flagged_in_a_claim_too():
    ledger = ledger_with()
    ledger.claim(30.0, 1e-5, "data-dependent GNMax")
    assert any("data-dependent cost disclosed raw" in flag for flag in audit(ledger).flags)


def test_labels_are_replaced_and_not_removed():
    ledger = ledger_with(30.0, event=Gaussian(3.0), adjacency="add-remove", unit="label")
    assert any("unit mismatch" in flag for flag in audit(ledger).flags)
    assert audit(ledger_with(30.0, event=Gaussian(3.0), unit="label")).flags == ()


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
    monkeypatch.setattr("accountants.methods.renyi.conversion.rdp_epsilon", lambda *_: (0.01, 2.0))
    report = audit(ledger_with(TRUTH.upper))
    assert report.verdicts[0].status == "INTERNAL-ERROR"
    assert report.exit_code == 3


def test_claims_at_delta_zero():
    event = PureDP(0.5) * 2
    assert audit(ledger_with(1.0, event=event, delta=0.0)).verdicts[0].status in ("PASS", "UNPROVEN")
    assert audit(ledger_with(1.01, event=event, delta=0.0)).verdicts[0].status == "PASS"
    assert audit(ledger_with(0.99, event=event, delta=0.0)).verdicts[0].status == "FAIL"
    assert audit(ledger_with(50.0, delta=0.0)).verdicts[0].status == "FAIL"  # Gaussians are never pure


def test_training_runs_are_judged_from_both_sides():
    event = Gaussian(1.1).poisson(0.01) * 1000  # the truth lies in [1.51533, 1.51537]
    loose = audit(ledger_with(1.72, event=event, adjacency="add-remove"))
    assert (loose.verdicts[0].status, loose.exit_code) == ("PASS-LOOSE", 0)
    assert str(loose.verdicts[0]).startswith("PASS-LOOSE(1")
    assert loose.verdicts[0].excess == pytest.approx(1.72 / 1.51535 - 1.0, abs=0.01)
    assert audit(ledger_with(1.53, event=event, adjacency="add-remove")).verdicts[0].status == "PASS"
    assert audit(ledger_with(1.5, event=event, adjacency="add-remove")).exit_code == 1


@pytest.mark.parametrize("text", ["leak: losses were logged", "leak:losses were logged", "Leak: losses were logged"])
def test_a_disclosed_leak_voids_every_claim(text):
    ledger = ledger_with(TRUTH.upper)
    ledger.claim(math.inf, 1e-5, "nobody")
    ledger.disclose("no leak: nothing was logged")
    assert (audit(ledger).exit_code, audit(ledger).errors) == (0, ())
    ledger.disclose(text)
    report = audit(ledger)
    assert [verdict.status for verdict in report.verdicts] == ["ERROR", "ERROR"]
    assert "void: a leak is disclosed" in report.verdicts[0].reason
    assert (report.exit_code, report.to_dict()["exit_code"]) == (1, 1)
    assert report.errors == (f"leak disclosed, which no event covers: {text!r}",)
    assert f"error: {report.errors[0]}" in str(report)
    assert report.flags == ()


def test_a_leak_keeps_the_meaning_of_the_other_verdicts(monkeypatch):
    refuted = ledger_with(TRUTH.lower / 2)
    refuted.disclose("leak: losses were logged")
    assert (audit(refuted).verdicts[0].status, audit(refuted).exit_code) == ("FAIL", 1)
    unclaimed = ledger_with()
    unclaimed.disclose("leak: losses were logged")
    assert audit(unclaimed).exit_code == 1
    understated = ledger_with(5.0, adjacency="add-remove", event=Gaussian(9.0).poisson(0.1), sampler={"kind": "full"})
    assert "not what the loader did" in audit(understated).verdicts[0].reason
    understated.disclose("leak: losses were logged")
    assert len(audit(understated).errors) == 2
    monkeypatch.setattr("accountants.methods.renyi.conversion.rdp_epsilon", lambda *_: (0.01, 2.0))
    contradicted = ledger_with(TRUTH.upper)
    contradicted.disclose("leak: losses were logged")
    assert (audit(contradicted).verdicts[0].status, audit(contradicted).exit_code) == ("INTERNAL-ERROR", 3)


def test_the_report_is_json_and_text():
    report = audit(ledger_with(math.inf))
    assert isinstance(report, AuditReport)
    written = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert written["exit_code"] == 0
    assert written["verdicts"][0]["epsilon"] == "inf"
    assert "PASS-LOOSE: epsilon=inf" in str(report)
    assert report.digest in str(report)
