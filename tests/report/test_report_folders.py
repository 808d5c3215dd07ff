import json
import shutil
from dataclasses import replace

import pytest
from torch import nn

from privkd import PrivkdError, load
from privkd.errors import CheckpointError
from privkd.report import Result, Study, release_of, report_of, write_report


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
    assert "for 3 of 3" in page
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
    assert "for 2 of 3" in page
    assert "Do not rely on 1 of 3 students" in page


@pytest.mark.parametrize("content", ["", "[]", "3", "null", "{}", "[" * 100_000, '{"student": 1, "events": 1}'])
@pytest.mark.parametrize("file", ["ledger.json", "certificate.json", "config.json", "history.json"])
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
    assert "dpsd" in by_method  # releases without a recorded row have one


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
    assert "weights not read" in study.releases[0].verified
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
