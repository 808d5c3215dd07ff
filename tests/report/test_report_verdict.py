"""The conclusion of a report: the strongest class of guarantee first, then accuracy at the wanted epsilon."""

from dataclasses import replace

import pytest

from privkd import Certificate
from privkd.report import Result, Study, release_of, verdict_of


@pytest.fixture
def release(transcription):
    """Makes a proven release whose certificate says what is asked for."""

    def make(name, *, scope="training-record", epsilon=1.0, method="votes", **claim):
        found = release_of(name, transcription(scope=scope))
        return replace(found, method=method, certificate={**found.certificate, "epsilon": epsilon, **claim})

    return make


def study_of(*releases, wanted=3.0, **accuracies):
    rows = tuple(
        Result(name=name, method="m", scope="none", epsilon=None, delta=None, accuracy=accuracy)
        for name, accuracy in accuracies.items()
    )
    return Study(title="t", summary="s", releases=releases, results=rows, wanted_epsilon=wanted)


def test_a_guarantee_for_people_comes_before_a_more_accurate_one_for_answers(release):
    weak = release("answers", scope="synthetic-label", epsilon=0.1)
    strong = release("records")
    found = verdict_of(study_of(weak, strong, answers=0.99, records=0.4))
    assert found.recommended is strong
    assert found.headline == "Proven for the training data in 1 of 2 students"
    assert [line.style for line in found.lines] == ["record", "answer"]
    alone = verdict_of(study_of(weak, answers=0.99))
    assert alone.headline == "Not proven for anybody in the training data"


def test_accuracy_decides_among_those_within_the_wanted_epsilon(release):
    releases = (release("a", epsilon=1.0), release("b", epsilon=3.0, method="cells"), release("c", epsilon=10.0))
    accuracies = {"a": 0.6, "b": 0.8, "c": 0.9}
    assert verdict_of(study_of(*releases, **accuracies)).recommended.name == "b"
    assert verdict_of(study_of(*releases, wanted=10.0, **accuracies)).recommended.name == "c"
    assert verdict_of(study_of(*releases, wanted=2.0, **accuracies)).recommended.name == "a"
    assert "80.0 % of" not in " ".join(verdict_of(study_of(*releases, wanted=2.0, **accuracies)).reasons)


def test_where_nothing_is_within_the_limit_or_nothing_was_measured_the_smallest_epsilon_is_taken(release):
    releases = (release("a", epsilon=5.0), release("b", epsilon=4.0))
    found = verdict_of(study_of(*releases, a=0.9, b=0.1))
    assert found.recommended.name == "b"
    assert "No student has an ε of at most 3" in found.reasons[0]
    unmeasured = verdict_of(study_of(release("a", epsilon=2.0), release("b", epsilon=1.0)))
    assert unmeasured.recommended.name == "b"
    assert "No accuracy was recorded" in unmeasured.reasons[0]


def test_what_is_false_or_void_is_never_recommended_and_comes_first(release):
    good = release("good")
    false = replace(release("false", epsilon=0.1), verified="", problem="CertificateError: no")
    seeded = release("seeded", epsilon=0.1, secure_rng=False)
    for bad in (false, seeded):
        found = verdict_of(study_of(bad, good, good=0.1, **{bad.name: 0.9}))
        assert found.recommended is good
        assert found.headline == "Do not rely on 1 of 2 students"
        assert found.lines[-1].text == f"In {bad.name} there is no guarantee at all."
        alone = verdict_of(study_of(bad))
        assert alone.recommended is None
        assert alone.headline == "Do not rely on this student"


def test_a_declared_guarantee_is_not_called_proven(release, transcription):
    declared = Certificate.declared(epsilon=2.0, delta=1e-6, by="somebody")
    made = release_of("d", replace(transcription(), certificate=declared, ledger=declared.ledger))
    assert made.verified
    found = verdict_of(study_of(made))
    assert "Proven" not in found.headline
    assert "declared" in found.lines[0].text
    assert verdict_of(study_of(made, release("p"), d=0.9, p=0.1)).recommended.name == "p"


def test_a_number_that_protects_hardly_anybody_is_called_so(release):
    strong = release("a")
    weak = replace(strong, attack=replace(strong.attack, even_odds=0.97))
    assert verdict_of(study_of(strong)).headline == "Proven for the training data"
    assert "too weak" in verdict_of(study_of(weak)).headline


def test_epsilons_about_different_changes_are_not_compared_in_silence(release):
    same = verdict_of(study_of(release("a"), release("b"), a=0.5, b=0.6))
    mixed = verdict_of(study_of(release("a"), release("b", adjacency="add-remove"), a=0.5, b=0.6))
    assert "different changes" not in " ".join(same.reasons)
    assert "different changes" in mixed.reasons[-1]


def test_a_report_without_students_proves_nothing():
    found = verdict_of(Study(title="t", summary="s"))
    assert (found.headline, found.recommended, found.lines) == ("Nothing is proven", None, ())
