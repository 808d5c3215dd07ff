"""The demo in a small variant, end to end: real data, real students, real files."""

import json

import pytest

from privkd import load
from privkd.cli import digits_demo as demo
from privkd.report import Study, report_of, verdict_of


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "out"
    return out, demo.run_demo(out, epsilons=(3.0,), query_count=4)


def test_demo_saves_verified_students_and_a_report(small):
    out, study = small
    names = {
        "votes-eps3",
        "labels-eps3",
        "cells-eps3",
        "one-teacher-answers-eps3",
        "one-teacher-eps1",
        "one-teacher-eps3",
    }
    assert {path.name for path in out.iterdir()} == names | {"report.html", "report.json"}
    assert not study.problems
    for name in names:
        saved = load(out / name)
        saved.certificate.verify()
        assert saved.certificate.secure_rng
    assert Study.from_dict(json.loads((out / "report.json").read_text())) == study


def test_demo_learns_and_says_what_is_not_private(small):
    _, study = small
    rows = {row.name: row for row in study.results}
    # Chance is 0.10. 44 runs gave 0.68 to 0.88 for votes, with a deviation of 0.04; cells give 0.92 to 0.95, one of 0.015.
    assert rows["votes-eps3"].accuracy > 0.5
    assert rows["cells-eps3"].accuracy > 0.85
    assert rows[""].accuracy > 0.9
    assert rows[""].scope == "none"
    assert "NOT PRIVATE" in rows[""].note
    assert rows["one-teacher-answers-eps3"].scope == "synthetic-label"
    assert rows["one-teacher-eps3"].ceiling < 0.7
    assert rows["one-teacher-answers-eps3"].ceiling is None


def test_demo_tells_the_total_of_all_releases_and_what_answers_protect_in_plain_words(small):
    out, study = small
    together = next(note for note in study.notes if "together" in note)
    assert "3 releases" in together
    assert any("NOT a guarantee for training records" in note for note in study.notes)
    assert not any("=" in note and "δ =" not in note for note in study.notes)  # no text for developers
    assert "Traceback" not in (out / "report.html").read_text()


def test_the_most_accurate_student_with_a_guarantee_for_records_is_recommended(small):
    _, study = small
    guaranteed = [row for row in study.results if row.scope in ("training-record", "teacher") and row.epsilon <= 3.0]
    assert verdict_of(study).recommended.name == max(guaranteed, key=lambda row: row.accuracy).name
    assert not any("main result" in row.note.lower() for row in study.results)


def test_the_report_can_be_made_again_and_keeps_the_table(small):
    out, study = small
    again = report_of(out)
    assert again.results == study.results
    assert [release.name for release in again.releases] == [release.name for release in study.releases]


def test_a_folder_with_other_things_is_refused_before_work(tmp_path, monkeypatch):
    (tmp_path / "thesis.txt").write_text("mine")
    monkeypatch.setattr(demo, "digits", _never)
    with pytest.raises(FileExistsError, match="no report of privkd"):
        demo.run_demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def _never(*args, **kwargs):
    raise AssertionError("work was started")


@pytest.mark.parametrize("existed", [False, True])
def test_an_interrupted_save_takes_back_a_new_folder_and_only_that(tmp_path, monkeypatch, existed):
    out = tmp_path / "out"
    if existed:
        out.mkdir()

    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "write_report", interrupted)
    with pytest.raises(KeyboardInterrupt):
        demo._save(out, (), (), Study(title="t", summary="s"))
    assert out.exists() == existed


def test_demo_command_prints_a_table_and_the_path(privkd, tmp_path, small, monkeypatch):
    monkeypatch.setattr(demo, "run_demo", lambda out, *, seed: small[1])
    monkeypatch.setenv("COLUMNS", "120")
    outcome = privkd("demo", "--out", tmp_path / "x", "--seed", 1)
    assert outcome.code == 0
    assert "does NOT protect training records" in " ".join(outcome.out.split())
    assert "report.html" in outcome.out.replace("\n", "")
