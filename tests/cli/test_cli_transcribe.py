"""`privkd transcribe`: a student in a folder, or a refusal in words before anything is paid."""

import json
import sys

import numpy as np
import pytest
import torch

import privkd as library

TEACHERS = """
import numpy as np
import torch
from sklearn.neighbors import KNeighborsClassifier
from privkd import TeacherEnsemble

def ensemble():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 240)
    inputs = np.eye(3)[labels] + 0.1 * rng.normal(size=(240, 3))
    return TeacherEnsemble.fit(lambda: KNeighborsClassifier(1), inputs, labels, teachers=40)

def bare():
    torch.manual_seed(0)
    return torch.nn.Linear(3, 3)

def broken():
    raise ValueError("no teacher today")
"""

BARE = ("transcribe", "--teacher=cli_teachers:bare", "--epsilon=1", "--scope=teacher")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working directory with a module of teachers and a file of public inputs."""
    (tmp_path / "cli_teachers.py").write_text(TEACHERS)
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 120)
    inputs = (np.eye(3)[labels] + 0.1 * rng.normal(size=(120, 3))).astype(np.float32)
    np.savez(tmp_path / "public.npz", inputs=inputs)
    near = inputs + 0.01 * rng.normal(size=(2, 120, 3)).astype(np.float32)  # rows of their own: public ones are refused
    np.savez(tmp_path / "private.npz", inputs=near.reshape(240, 3), labels=np.tile(labels, 2))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("cli_teachers", None)


def test_an_ensemble_becomes_a_saved_student_with_a_certificate(privkd, place):
    outcome = privkd(
        *("transcribe", "--teacher", "cli_teachers:ensemble", "--epsilon", 2, "--queries", "public.npz"),
        *("--delta", "1e-4", "--seed", 0, "--out", "student", "--json"),
    )
    assert outcome.code == 0, outcome.err
    values = json.loads(outcome.out)
    saved = library.load(place / "student")
    assert values["certificate"]["sentence"] == str(saved.certificate)
    assert values["certificate"]["scope"] == "training-record"
    assert saved.certificate.verify().upper <= 2.0
    assert privkd("audit", "student").code == 0


def test_a_bare_teacher_warns_on_one_plain_line_and_the_table_says_not(privkd, place):
    outcome = privkd(
        *("transcribe", "--teacher", "cli_teachers:bare", "--epsilon", 3, "--queries", "public.npz"),
        *("--seed", 0, "--out", "student"),
    )
    assert outcome.code == 0, outcome.err
    (line,) = (line for line in outcome.err.splitlines() if line.startswith("warning: "))
    assert "NOT training records" in line
    assert "UserWarning" not in outcome.err
    assert "NOT a training-record guarantee" in " ".join(outcome.out.split())


def test_options_reach_the_library(privkd, place):
    outcome = privkd(
        *(
            "transcribe",
            "--teacher",
            "cli_teachers:bare",
            "--epsilon",
            1,
            "--scope",
            "teacher",
            "--queries",
            3,
        ),
        *("--input-shape", 3, "--input-range", "-1,2", "--delta", "1e-6", "--out", "student", "--json"),
    )
    assert outcome.code == 0, outcome.err
    saved = library.load(place / "student")
    assert (saved.certificate.scope, saved.certificate.delta, saved.certificate.answers) == (
        "teacher",
        1e-6,
        3,
    )
    assert (saved.spec.shape, saved.spec.low, saved.spec.high) == ((3,), -1.0, 2.0)


def test_records_and_method_reach_the_library(privkd, place):
    common = ("transcribe", "--teacher", "cli_teachers:ensemble", "--epsilon", 2, "--delta", "1e-4", "--json")
    files = ("--queries", "public.npz", "--seed", 0)
    cells = privkd(*common, *files, "--records", "private.npz", "--out", "cells")
    labels = privkd(*common, *files, "--method", "gnmax", "--out", "labels")
    assert json.loads(cells.out)["method"] == "cells"
    assert json.loads(labels.out)["method"] == "gnmax"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"--teacher": "cli_teachers:absent"}, "absent"),
        ({"--teacher": "cli_teachers:broken"}, "no teacher today"),
        ({"--teacher": "no_such_module:f"}, "no_such_module"),
        ({"--teacher": "weights.pkl"}, "weights.pkl"),
        ({"--epsilon": "nan"}, "epsilon"),
        ({"--epsilon": "inf"}, "inf"),
        ({"--epsilon": "-1"}, "epsilon"),
        ({"--delta": "0.5"}, "delta"),
        ({"--scope": "everything"}, "everything"),
        ({"--method": "magic"}, "magic"),
        ({"--mode": "hasty"}, "hasty"),
        ({"--queries": "absent.npz"}, "absent.npz"),
        ({"--queries": "0"}, "queries"),
        ({"--records": "public.npz"}, "without labels"),
        ({"--input-shape": "1.5"}, "--input-shape=1.5"),
        ({"--input-shape": "7"}, "7"),
        ({"--input-shape": "3", "--input-range": "1"}, "--input-range=1"),
        ({"--input-range": "0,1"}, "--input-shape"),
        ({"--seed": "-1"}, "seed"),
    ],
)
def test_bad_options_are_refused_in_words_and_leave_nothing(privkd, place, change, named):
    options = {
        "--teacher": "cli_teachers:ensemble",
        "--epsilon": "2",
        "--queries": "public.npz",
        "--out": "student",
    }
    outcome = privkd("transcribe", *(f"{key}={value}" for key, value in {**options, **change}.items()))
    assert outcome.code == 3, outcome.err
    assert named in outcome.err
    assert "Traceback" not in outcome.err
    assert outcome.out == ""
    assert not (place / "student").exists()


def test_an_occupied_folder_is_refused_before_any_privacy_is_spent(privkd, place, monkeypatch):
    (place / "student").mkdir()
    (place / "student" / "diary.txt").write_text("mine")
    monkeypatch.setattr("privkd.transcribe", _never, raising=False)
    for extra in ([], ["--overwrite"]):
        outcome = privkd("transcribe", "--teacher=cli_teachers:bare", "--epsilon=1", "--out=student", *extra)
        assert outcome.code == 3
        assert "exists" in outcome.err
    assert (place / "student" / "diary.txt").read_text() == "mine"


def _never(*args, **kwargs):
    raise AssertionError("work was started")


def test_overwrite_replaces_an_earlier_student(privkd, place):
    command = (*BARE, "--queries=2", "--out=student")
    assert privkd(*command).code == 0
    before = library.load(place / "student").student.state_dict()
    assert privkd(*command).code == 3
    assert privkd(*command, "--overwrite").code == 0
    after = library.load(place / "student").student.state_dict()
    assert any(not torch.equal(after[name], before[name]) for name in before)


def test_an_interruption_exits_with_130_and_what_was_paid_for_goes_on_with_resume(privkd, place, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    command = (*BARE, "--queries=40", "--out=student")
    with monkeypatch.context() as patch:
        patch.setattr("privkd.certificates.release.Transcription._write", interrupted)
        before = sorted(path.name for path in place.iterdir())
        outcome = privkd(*command)
    assert outcome.code == 130
    assert "interrupted" in outcome.err
    left = sorted(path.name for path in place.iterdir() if path.name != "__pycache__")
    assert left == sorted([".student.paid", *before])
    refused = privkd(*command)
    assert refused.code == 3
    assert "--resume" in refused.err
    paid = json.loads((place / ".student.paid" / "ledger.json").read_text())
    resumed = privkd(*command, "--resume")
    assert resumed.code == 0, resumed.err
    kept = json.loads((place / "student" / "ledger.json").read_text())
    assert kept["events"] == paid["events"]
    assert not (place / ".student.paid").exists()
    assert privkd(*command, "--overwrite", "--resume").code == 3  # nothing is left to go on with


def test_a_release_without_its_certificate_does_not_pass_an_audit(privkd, place):
    command = (*BARE, "--queries=2", "--out=one")
    assert privkd(*command).code == 0
    assert privkd("audit", "one").code == 0
    (place / "one" / "certificate.json").unlink()
    outcome = privkd("audit", "one")
    assert outcome.code == 1
    assert "certificate.json is missing" in outcome.out


def test_records_need_no_teacher_and_a_common_ledger_counts_every_release(privkd, place, monkeypatch):
    draw = np.random.default_rng(0)
    np.savez(place / "own.npz", inputs=draw.random((200, 4)).astype(np.float32), labels=np.arange(200) % 3)
    np.savez(place / "open.npz", inputs=draw.random((60, 4)).astype(np.float32))
    command = ("transcribe", "--records=own.npz", "--queries=open.npz", "--classes=3", "--epsilon=3", "--delta=1e-4")
    budget = ("--ledger=common.json", "--ledger-epsilon=6")
    assert privkd(*command, *budget, "--out=one").code == 0
    second = privkd(*command, "--ledger=common.json", "--out=two", "--json")
    assert second.code == 0, second.err
    assert "within epsilon = 6.0" in " ".join(json.loads(second.out)["certificate"]["conditions"])
    codes = [privkd(*command, "--ledger=common.json", f"--out=more{i}").code for i in range(4)]
    assert codes[-1] == 3
    assert len(json.loads((place / "common.json").read_text())["events"]) == 2 + codes.count(0)
    again = privkd("transcribe", "--teacher=one", "--queries=open.npz", "--epsilon=3", "--delta=1e-4", "--out=three")
    assert again.code == 0, again.err  # a release is a certified teacher


@pytest.fixture
def sick(place):
    """Files of private records with text labels, with and without one record of a rare class; and public inputs."""
    draw = np.random.default_rng(0)
    inputs = draw.random((200, 4)).astype(np.float32)
    names = np.array(["benign", "malign"])[(inputs[:, 0] > 0.5).astype(int)].astype("U20")
    np.savez(place / "common.npz", inputs=inputs, labels=names)
    names[0] = "a rare one"
    np.savez(place / "rare.npz", inputs=inputs, labels=names)
    np.savez(place / "open.npz", inputs=draw.random((60, 4)).astype(np.float32))
    return place


@pytest.mark.parametrize("classes", [("--classes=3",), ()])
def test_text_labels_of_private_records_need_declared_names(classes, privkd, sick):
    said = []
    for file in ("common.npz", "rare.npz"):
        command = ("transcribe", f"--records={file}", "--queries=open.npz", "--epsilon=3", "--out=one")
        refused = privkd(*command, *classes)
        assert refused.code == 3
        assert "--class-names" in refused.err
        said.append(refused.err.replace(file.removesuffix(".npz"), "FILE"))
    assert said[0] == said[1]
    assert not any(name in said[0] for name in ("benign", "malign", "a rare one"))
    assert not (sick / "one").exists()


def test_names_of_classes_come_from_a_list_or_a_file_and_stay_with_the_student(privkd, sick):
    command = ("transcribe", "--records=rare.npz", "--queries=open.npz", "--epsilon=9", "--delta=1e-4", "--seed=0")
    (sick / "names.txt").write_text("malign\nbenign\na rare one\n")
    for out, names in (("one", "malign, benign,a rare one"), ("two", "names.txt")):
        outcome = privkd(*command, f"--class-names={names}", f"--out={out}")
        assert outcome.code == 0, outcome.err
        assert library.load(sick / out).student.labels == ("malign", "benign", "a rare one")
    for names, said in (("malign,benign", "2 declared classes"), ("absent.txt", "--class-names=absent.txt")):
        refused = privkd(*command, f"--class-names={names}", "--out=three")
        assert refused.code == 3
        assert said in refused.err
        assert "a rare one" not in refused.err
    assert "give one of the two" in privkd(*command, "--classes=3", "--class-names=a,b,c", "--out=three").err


def test_public_queries_may_lie_in_folders_of_classes_whose_names_do_not_matter(privkd, place):
    from PIL import Image

    draw = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (place / "open" / name).mkdir(parents=True)
        for number in range(8):
            Image.fromarray(draw.integers(0, 256, (6, 6), dtype=np.uint8)).save(place / "open" / name / f"{number}.png")
    np.savez(place / "own.npz", inputs=draw.random((80, 1, 6, 6)).astype(np.float32), labels=np.arange(80) % 2)
    outcome = privkd(
        *(
            "transcribe",
            "--records=own.npz",
            "--queries=open",
            "--classes=2",
            "--epsilon=3",
            "--delta=1e-3",
            "--out=one",
        )
    )
    assert outcome.code == 0, outcome.err


def test_report_verifies_and_its_exit_code_tells_a_broken_claim(privkd, place):
    command = ("transcribe", "--teacher=cli_teachers:bare", "--epsilon=1", "--scope=teacher", "--queries=2")
    assert privkd(*command, "--out=all/one").code == 0
    outcome = privkd("report", "all", "--json")
    assert outcome.code == 0, outcome.out
    assert json.loads(outcome.out)["releases"][0]["problem"] == ""
    assert (place / "all" / "report.html").is_file()
    ledger = place / "all" / "one" / "ledger.json"
    ledger.write_text(ledger.read_text().replace('"eps0": 0', '"eps0": 1'))
    broken = privkd("report", "all")
    assert broken.code == 1
    assert "NOT VERIFIED" in broken.out
    assert privkd("report", "absent").code == 3
