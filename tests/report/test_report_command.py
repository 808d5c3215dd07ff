"""`privkd report`: the conclusion on the terminal, the same as on the page, with nothing hidden in names."""

import json

import pytest
from typer.testing import CliRunner

from privkd.cli.app import app
from privkd.report import Result, Study, release_of, write_report


def run(*arguments):
    outcome = CliRunner().invoke(app, ["report", *map(str, arguments)], env={"COLUMNS": "200"})
    return outcome.exit_code, outcome.output


@pytest.fixture
def measured(tmp_path, transcription):
    """Two students of different epsilon, with accuracies that somebody measured."""
    made = {"strict": transcription(sigma=40.0), "loose": transcription(sigma=20.0)}
    rows = tuple(
        Result(name=name, method="m", scope="none", epsilon=None, delta=None, accuracy=accuracy)
        for name, accuracy in (("strict", 0.5), ("loose", 0.9))
    )
    for name, done in made.items():
        done.save(tmp_path / name)
    releases = tuple(release_of(name, done) for name, done in made.items())
    write_report(tmp_path, Study(title="t", summary="s", results=rows, releases=releases))
    return tmp_path, made


def test_the_conclusion_is_printed_and_the_wanted_epsilon_decides_the_recommendation(measured):
    folder, made = measured
    code, text = run(folder)
    assert code == 0
    assert "Proven for the training data" in text
    assert "loose (It has the highest accuracy (90.0 %) of the 2 students" in " ".join(text.split())
    between = (made["strict"].certificate.epsilon + made["loose"].certificate.epsilon) / 2
    code, text = run(folder, "--epsilon", between, "--json")
    assert code == 0
    found = json.loads(text)
    assert (found["recommended"], found["verdict"]) == ("strict", "Proven for the training data")
    assert [release["name"] for release in found["releases"]] == ["strict", "loose"]


@pytest.mark.parametrize("epsilon", [0.0, -1.0, "nan"])
def test_an_impossible_epsilon_is_refused_and_nothing_is_written(measured, epsilon):
    folder, _ = measured
    before = (folder / "report.json").read_bytes()
    assert run(folder, f"--epsilon={epsilon}")[0] == 3
    assert (folder / "report.json").read_bytes() == before


def test_a_damaged_release_in_a_study_is_named_and_makes_exit_code_1(measured):
    folder, _ = measured
    (folder / "loose" / "student.safetensors").write_bytes(b"x")
    code, text = run(folder)
    assert code == 1
    assert "Do not rely on 1 of 2 students" in text
    assert any(line.strip().startswith("loose") and "NOT VERIFIED" in line for line in text.splitlines())
    assert "strict" in text


def test_a_release_without_any_guarantee_is_called_void(tmp_path, transcription):
    transcription(scope="none").save(tmp_path / "open")
    text = run(tmp_path)[1]
    assert "VOID: no noise was added" in text
    assert "recommended" in text
    assert "none" in text
