"""Epsilon in words: ceilings on every attack, from the trade-off curve of what was charged."""

import math
from dataclasses import replace

import pytest
from scipy.stats import norm

from accountants import ApproxDP, Gaussian, Ledger
from accountants.guarantees.tradeoff import tradeoff
from privkd import Certificate
from privkd.report import Attack
from privkd.report.attacks import attack_on, in_words


def certified(event, *, scope="training-record", adjacency="add-remove", **options):
    ledger = Ledger(adjacency=adjacency, delta=1e-5, unit=scope, n=1000)
    ledger.charge(event)
    basis = {"basis": "per-example-clipping"} if scope == "training-record" else {}
    return Certificate.from_ledger(ledger, scope=scope, delta=1e-5, **basis, **options), ledger


@pytest.mark.parametrize("sigma", [0.5, 1.0, 4.0])
def test_ceilings_of_a_gaussian_are_those_of_the_textbook(sigma):
    found = attack_on(*certified(Gaussian(sigma)))
    even_odds = norm.cdf(0.5 / sigma)  # the best test of N(0, 1) against N(1/sigma, 1) has the threshold in the middle
    at_one_percent = norm.cdf(norm.ppf(0.01) + 1.0 / sigma)
    assert even_odds <= found.even_odds <= even_odds + 1e-6
    assert at_one_percent <= found.found <= at_one_percent * 1.002


def test_a_guarantee_for_another_change_than_the_ledgers_is_told_by_epsilon_and_delta_alone():
    certificate, ledger = certified(Gaussian(4.0))
    group = certificate.for_group(2)
    found = attack_on(group, ledger)
    stated = tradeoff(ApproxDP(group.epsilon, group.delta), [0.01], adjacency="add-remove")
    assert found.found == stated.tprs[0].upper
    assert found.found > norm.cdf(norm.ppf(0.01) + 2.0 / 4.0)  # what two records truly allow
    assert found.even_odds > attack_on(certificate, ledger).even_odds


def test_of_choices_that_depended_on_answers_only_the_stated_guarantee_is_used():
    certificate, ledger = certified(Gaussian(4.0))
    planned = attack_on(certificate, ledger)
    ledger.disclose("adaptive: noise was chosen after noisy answers were seen")
    assert attack_on(certificate, ledger).even_odds > planned.even_odds


def test_nothing_is_said_of_people_where_the_guarantee_is_about_answers(transcription):
    answers, teacher = transcription(scope="synthetic-label"), transcription(scope="teacher")
    assert attack_on(answers.certificate, answers.ledger) is None
    assert attack_on(teacher.certificate, teacher.ledger) is not None


@pytest.mark.parametrize(
    ("scope", "adjacency", "records", "question"),
    [
        ("training-record", "add-remove", 1, "was one record among the private data, or not?"),
        ("training-record", "replace-one", 1, "which of two candidates for one record was among the private data?"),
        ("training-record", "zero-out", 1, "was one record used, or blanked out?"),
        ("training-record", "add-remove", 3, "was a group of 3 records among"),
        ("training-user", "add-remove", 1, "were all records of one person among the private data, or not?"),
        ("training-label", "replace-one", 1, "which of two labels did one record have?"),
        ("teacher", "replace-one", 1, "which of two teachers gave the answers?"),
    ],
)
def test_the_question_is_about_what_the_guarantee_is_about(scope, adjacency, records, question):
    asked, limit = in_words(Attack(even_odds=0.65861, false_alarms=0.01, found=0.0657), scope, adjacency, records)
    assert question in asked
    assert "65.9%" in limit  # rounded up
    assert "at most 6.6 of 100 true ones" in limit


@pytest.mark.parametrize("values", [(0.4, 0.01, 0.5), (1.1, 0.01, 0.5), (0.6, -0.1, 0.5), (0.6, 0.01, math.nan)])
def test_impossible_ceilings_are_refused(values):
    with pytest.raises(ValueError, match="must be"):
        Attack(**dict(zip(("even_odds", "false_alarms", "found"), values, strict=True)))


def test_a_void_release_has_no_ceiling(transcription):
    from privkd.report import release_of

    made = transcription()
    assert release_of("a", made).attack is not None
    lie = replace(made, certificate=replace(made.certificate, epsilon=made.certificate.epsilon / 2))
    assert release_of("a", lie).attack is None
