"""A report of a folder proves every release again and believes no file about privacy."""

import json
import shutil
from dataclasses import replace

import pytest
from torch import nn

from accountants import audit
from privkd import PrivkdError, load
from privkd.errors import CheckpointError
from privkd.report import Result, Study, release_of, report_of, verdict_of, write_report


def edit(path, change):
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def test_every_release_below_a_folder_is_verified_and_reported(folder):
    study = report_of(folder)
    assert [release.name for release in study.releases] == ["answers", "votes", "whole"]
    assert not study.problems
    assert all(release.verified for release in study.releases)
    page = (folder / "report.html").read_text()
    assert "It is so for 3 of 3." in page
    assert "Proven for the training data in 2 of 3 students" in page
    assert study.samples is not None
    assert Study.from_dict(json.loads((folder / "report.json").read_text())) == study


def test_a_single_release_reports_on_itself(folder):
    study = report_of(folder / "votes")
    assert [release.name for release in study.releases] == ["."]
    assert (folder / "votes" / "report.html").is_file()
    load(folder / "votes")  # the report beside it does no harm


@pytest.mark.parametrize(
    ("file", "change", "named"),
    [
        ("ledger.json", lambda d: d["events"][0]["event"].update(count=1), "entry 0"),
        ("ledger.json", lambda d: d["events"].clear(), "LedgerError"),
        ("certificate.json", lambda d: d.update(epsilon=0.001), "sentence"),
        ("certificate.json", lambda d: d.pop("scope"), "missing"),
        ("config.json", lambda d: d.update(schema="x"), "schema"),
        ("config.json", lambda d: d.pop("sha256"), "checksums"),
    ],
)
def test_an_edited_release_is_reported_not_hidden(folder, file, change, named):
    edit(folder / "votes" / file, change)
    study = report_of(folder)
    (problem,) = study.problems
    assert problem.startswith("votes: ")
    assert named in problem
    page = (folder / "report.html").read_text()
    assert 'role="alert"' in page
    assert "It is so for 2 of 3." in page
    assert "Do not rely on 1 of 3 students" in page


NONSENSE = ["", "[]", "3", "null", "{}", "[" * 100_000, '{"student": 1, "events": 1}']


@pytest.mark.parametrize(
    ("file", "content"),
    [
        *(("certificate.json", content) for content in NONSENSE),
        *((file, content) for file in ("ledger.json", "config.json", "history.json") for content in ("", "[]", "{}")),
    ],
)
def test_a_file_of_nonsense_is_a_problem_of_its_release_only(folder, file, content):
    (folder / "votes" / file).write_text(content)
    study = report_of(folder)
    assert [text.split(":")[0] for text in study.problems] == ["votes"]
    assert next(release for release in study.releases if release.name == "votes").certificate is None


def test_a_consistent_lie_is_refuted_from_the_events(folder):
    honest = load(folder / "votes")
    lie = replace(honest, certificate=replace(honest.certificate, epsilon=honest.certificate.epsilon / 10))
    lie.save(folder / "votes", overwrite=True)
    (problem,) = report_of(folder).problems
    assert "the events cost epsilon" in problem


def test_missing_weights_and_a_missing_folder_are_reported(folder):
    report_of(folder)
    (folder / "answers" / "student.safetensors").unlink()
    shutil.rmtree(folder / "whole")
    problems = report_of(folder).problems
    assert any("answers" in text and "missing" in text for text in problems)
    assert any("whole" in text and "not here" in text for text in problems)


def test_accuracies_are_kept_and_privacy_numbers_are_not_believed(folder):
    truth = load(folder / "votes").certificate
    rows = (
        Result(name="votes", method="v", scope="teacher", epsilon=1e-3, delta=1e-9, accuracy=0.7),
        Result(name="gone", method="g", scope="training-record", epsilon=0.1, delta=1e-9, accuracy=0.6),
        Result(name="", method="reference", scope="none", epsilon=None, delta=None, accuracy=0.9),
    )
    releases = (release_of("votes", load(folder / "votes")),)
    write_report(folder, Study(title="t", summary="s", results=rows, releases=releases))
    by_method = {row.method: row for row in report_of(folder).results}
    assert by_method["v"].accuracy == 0.7
    assert (by_method["v"].scope, by_method["v"].epsilon, by_method["v"].delta) == (
        "training-record",
        truth.epsilon,
        truth.delta,
    )
    assert by_method["g"].epsilon is None
    assert by_method["g"].scope == "none"
    assert "proves a guarantee" in by_method["g"].note
    assert by_method["reference"].accuracy == 0.9
    assert "noisy answers to generated inputs" in by_method  # releases without a recorded row have one


def test_an_edited_report_shows_nothing_as_proven_that_was_not_recomputed(folder):
    honest = report_of(folder)

    def lie(values):
        values["title"] = "(0.001, 0)-DP for everybody"
        values["results"].append({**values["results"][0], "name": "", "method": "free lunch", "epsilon": 0.001})
        for row in values["results"]:
            row.update(scope="training-record", epsilon=0.001, delta=0.0, ceiling=0.5)
        for release in values["releases"]:
            release.update(
                verified="[0, 0.001]",
                problem="",
                ceiling=0.9,
                attack={**release["attack"]} if release["attack"] else None,
            )
            release["certificate"].update(epsilon=0.001, conditions=[], sentence="proven for everybody")
        values["samples"] = {"images": [[[0]]], "caption": "nothing to see"}

    edit(folder / "report.json", lie)
    again = report_of(folder)
    assert again.releases == honest.releases
    assert again.samples == honest.samples
    rows = {row.name: row for row in again.results}
    assert {name: replace(row, note="") for name, row in rows.items() if name} == {
        row.name: row for row in honest.results
    }
    assert (rows[""].epsilon, rows[""].scope, rows[""].ceiling) == (None, "none", None)
    page = (folder / "report.html").read_text()
    assert "0.001" not in page.replace("(0.001, 0)-DP for everybody", "")
    assert "proven for everybody" not in page


def test_texts_of_an_earlier_report_are_marked_as_those_of_its_author(folder):
    report_of(folder)
    edit(
        folder / "report.json", lambda d: d.update(summary="A summary.", notes=["A note."], not_protected=["A limit."])
    )
    report_of(folder)
    page = (folder / "report.html").read_text()
    block = page.split("What the author of this folder says (not checked)")[1].split("</details>")[0]
    assert "A summary." in block
    assert "A note." in block
    assert 'A limit. <span class="note">(the author\'s words)' in page


def test_reports_of_the_earlier_schema_keep_their_words_and_accuracies(folder):
    old = {"schema": "privkd.report/1", "title": "t", "summary": "s", "notes": ["n"], "not_protected": [], "samples": None,
           "created": "", "library_version": "0", "releases": [], "results": [
            {"name": "votes", "method": "v", "scope": "teacher", "epsilon": 0.1, "delta": 0.0, "accuracy": 0.7,
             "ceiling": 0.1, "note": ""}]}  # fmt: skip
    (folder / "report.json").write_text(json.dumps(old))
    study = report_of(folder)
    assert (study.title, study.notes) == ("t", ("n",))
    assert (study.results[0].method, study.results[0].accuracy, study.results[0].scope) == ("v", 0.7, "training-record")


@pytest.mark.parametrize("scope", ["training-record", "none"])
def test_audit_and_report_agree_on_a_folder_with_a_leak(tmp_path, transcription, scope):
    made = transcription(scope=scope)
    made.save(tmp_path / "good")
    assert report_of(tmp_path).problems == ()
    made.ledger.disclose("leak: losses were logged")
    made.save(tmp_path / "bad")
    assert audit(made.ledger).exit_code == 1
    (problem,) = report_of(tmp_path).problems
    assert problem.startswith("bad: ")
    assert "losses were logged" in problem


def test_a_false_claim_in_a_ledger_is_a_problem_though_its_certificate_holds(tmp_path, transcription):
    made = transcription()
    made.ledger.claim(made.certificate.epsilon / 10, 1e-5, "wishful thinking")
    made.save(tmp_path / "r")
    (problem,) = report_of(tmp_path).problems
    assert "proven false" in problem


def test_names_of_folders_that_cannot_be_seen_are_escapes_and_stay_the_same_release(tmp_path, transcription):
    transcription().save(tmp_path / "a\x1b[2J\u202eb")
    for _ in range(2):
        study = report_of(tmp_path)
        assert [release.name for release in study.releases] == ["a\\x1b[2J\\u202eb"]
        assert not study.problems


def test_folders_whose_names_look_alike_are_refused(tmp_path, transcription):
    transcription().save(tmp_path / "a\x1b")
    transcription().save(tmp_path / "a\\x1b")
    with pytest.raises(CheckpointError, match="look alike"):
        report_of(tmp_path)


def test_the_folder_of_a_run_is_proven_and_not_called_a_release(tmp_path, transcription):
    made = transcription()
    made.save(tmp_path / "student")
    (tmp_path / "run").mkdir()
    for name in ("ledger.json", "certificate.json"):
        (tmp_path / "run" / name).write_bytes((tmp_path / "student" / name).read_bytes())
    study = report_of(tmp_path / "run")
    assert not study.problems
    assert verdict_of(study).headline == "Proven for a run that has released no student here"
    assert "its checkpoints stay private" in (tmp_path / "run" / "report.html").read_text()
    both = report_of(tmp_path)
    assert verdict_of(both).recommended.name == "student"
    edit(tmp_path / "run" / "certificate.json", lambda d: d.update(epsilon=0.1))
    assert report_of(tmp_path).problems


def test_the_wanted_epsilon_is_kept_for_the_next_report(folder):
    assert report_of(folder).wanted_epsilon == 3.0
    assert report_of(folder, epsilon=0.5).wanted_epsilon == 0.5
    assert report_of(folder).wanted_epsilon == 0.5
    with pytest.raises(ValueError, match="epsilon"):
        report_of(folder, epsilon=0.0)


class Foreign(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(16, 10)

    def forward(self, x):
        return self.layer(x.flatten(1))


def test_a_student_of_the_callers_own_class_is_verified_without_its_weights(tmp_path, transcription):
    transcription(student=Foreign()).save(tmp_path / "mine")
    study = report_of(tmp_path)
    assert not study.problems
    assert "weights compared by their digest" in study.releases[0].verified
    edit(tmp_path / "mine" / "certificate.json", lambda d: d.update(epsilon=0.1))
    assert report_of(tmp_path).problems


def test_drafts_of_interrupted_saves_are_not_releases(folder):
    (folder / "votes").rename(folder / ".votes.1234.tmp")
    assert [release.name for release in report_of(folder).releases] == ["answers", "whole"]


@pytest.mark.parametrize("content", ["", "[]", "{", '{"schema": "privkd.report/1"}', "\xff"])
def test_an_unreadable_earlier_report_is_refused_and_left_alone(folder, content):
    (folder / "report.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(CheckpointError, match=r"report\.json"):
        report_of(folder)
    assert (folder / "report.json").read_bytes() == content.encode("latin-1")


def test_nothing_to_report_is_an_error(tmp_path):
    with pytest.raises(PrivkdError, match="no saved release"):
        report_of(tmp_path)
    with pytest.raises(PrivkdError, match="is not a folder"):
        report_of(tmp_path / "absent")
    assert not list(tmp_path.iterdir())
