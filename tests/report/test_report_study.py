"""A study is checked field by field, and comes back from its JSON."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privkd.report import Release, Result, Samples, Study, release_of, samples_of
from privkd.report.wording import PROTECTION, limits_of, protection, upward

ROW = Result(name="a", method="votes", scope="training-record", epsilon=1.0, delta=1e-5, accuracy=0.5)


@pytest.fixture
def study(transcription):
    answers = transcription(scope="synthetic-label")
    return Study(
        title="t",
        summary="s",
        results=(ROW,),
        releases=(release_of("a", transcription()), release_of("b", answers)),
        notes=("n",),
        not_protected=("p",),
        samples=samples_of(answers, count=3),
        created="2026-01-01T00:00:00Z",
        library_version="0",
    )


def test_a_study_survives_json(study):
    back = Study.from_dict(json.loads(json.dumps(study.to_dict(), allow_nan=False)))
    assert back == study


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d.pop("schema"),
        lambda d: d.update(schema="privkd.report/3"),
        lambda d: d.pop("title"),
        lambda d: d.update(surprise=1),
        lambda d: d.update(title=3),
        lambda d: d.update(results={}),
        lambda d: d.update(notes=[1]),
        lambda d: d["results"][0].update(accuracy=1.5),
        lambda d: d["results"][0].update(epsilon=-1.0),
        lambda d: d["results"][0].update(epsilon="1"),
        lambda d: d["results"][0].pop("note"),
        lambda d: d["releases"][0].update(verified=""),
        lambda d: d["releases"][0]["certificate"].pop("sentence"),
        lambda d: d["samples"].update(images=[[[256]]]),
        lambda d: d["samples"].update(images=[[[0.5]]]),
        lambda d: d["samples"].update(images=[]),
        lambda d: d.update(title="x" * 20_001),
    ],
)
def test_a_damaged_study_is_refused(study, damage):
    values = json.loads(json.dumps(study.to_dict()))
    damage(values)
    with pytest.raises((ValueError, TypeError)):
        Study.from_dict(values)


def test_release_is_verified_and_a_false_claim_becomes_a_problem(transcription):
    honest = transcription()
    good = release_of("a", honest)
    assert good.verified
    assert not good.problem
    assert good.scope == "training-record"
    lie = replace(honest, certificate=replace(honest.certificate, epsilon=honest.certificate.epsilon / 2))
    bad = release_of("a", lie)
    assert not bad.verified
    assert "CertificateError" in bad.problem
    assert bad.scope == "none"


def test_equal_ledger_entries_are_merged_without_losing_count(transcription):
    made = transcription(scope="synthetic-label")
    made.ledger.charge(made.ledger.events[0], where="votes")
    (row,) = release_of("a", made).charges
    assert (row["count"], row["entries"]) == (14, 2)


def test_a_release_is_verified_or_has_a_problem():
    with pytest.raises(ValueError, match="not both or neither"):
        Release(name="a", method="m", certificate=None, charges=(), digest="", verified="", problem="")


def test_samples_are_grey_levels_of_the_generator_and_none_without_one(transcription):
    samples = samples_of(transcription(scope="teacher"), count=5)
    assert samples is not None
    assert len(samples.images) == 5
    assert {len(row) for image in samples.images for row in image} == {4}
    assert samples_of(transcription()) is None
    with pytest.raises(ValueError, match="span"):
        Samples(images=[[[-1]]], caption="")


@given(st.floats(1e-9, 1e12))
def test_printed_epsilon_is_never_too_low_and_at_most_a_thousandth_too_high(value):
    shown = float(upward(value))
    assert value <= shown <= value * 1.001


def test_every_scope_has_words_and_an_unknown_one_protects_nothing():
    assert all("NOT" in words.badge for scope, words in PROTECTION.items() if scope.startswith("synthetic"))
    assert "NOT" not in protection("training-record").badge
    assert protection("made-up") is protection("none")


def test_limits_name_the_releases_that_protect_no_record(transcription):
    releases = [release_of(scope, transcription(scope=scope)) for scope in ("training-record", "synthetic-label")]
    assert "synthetic-label" in limits_of(releases)[0]
    assert not any("synthetic-label" in text for text in limits_of(releases[:1]))
