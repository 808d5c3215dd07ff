"""`privkd train` and `privkd recipes`, as a user has them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from privkd.recipes import catalogue

THIRD_PARTY = Path(__file__).parents[1] / "recipes" / "thirdparty"


@pytest.fixture
def installed(monkeypatch):
    """A package of somebody else, and a broken one."""
    monkeypatch.syspath_prepend(str(THIRD_PARTY))
    for name in catalogue.BUILT_IN:  # a module registers once: what is first asked for below would be lost afterwards
        catalogue.get(name)
    monkeypatch.setattr(catalogue, "_factories", dict(catalogue._factories))
    yield
    for name in ("privkd_example", "privkd_broken", "privkd_forgetful"):
        sys.modules.pop(name, None)


def start(*arguments):
    """The command in a process of its own."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([*sys.path, str(THIRD_PARTY)]),
        "CUDA_VISIBLE_DEVICES": "",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "privkd", *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_recipe_is_trained_into_a_folder(privkd, tmp_path):
    outcome = privkd("train", "classifier", "--data=digits", "--set", "epochs=3", "--out", tmp_path / "run", "--json")
    assert outcome.code == 0, outcome.err
    values = json.loads(outcome.out)
    assert values["last"]["step"] == 75
    assert values["last"]["accuracy"] > 0.8
    assert values["guarantee"].startswith("none: ")
    assert load_file(values["deployed"]["network"])
    assert (tmp_path / "run" / "metrics.jsonl").is_file()


def test_the_table_says_that_there_is_no_guarantee(privkd, tmp_path):
    outcome = privkd("train", "classifier", "--data=digits", "--steps=2", "--out", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    assert "guarantee" in outcome.out
    assert "none: whoever has these files" in " ".join(outcome.out.split())
    assert "accuracy" in outcome.out


def test_options_reach_the_recipe_where_it_has_such_settings_and_the_trainer_elsewhere(privkd, tmp_path, installed):
    common = ("--data=digits", "--batch-size=100", "--seed=3", "--device=cpu", "--json")
    one = privkd("train", "classifier", *common, "--epochs=1", "--out", tmp_path / "one")
    two = privkd("train", "centroids", *common, "--steps=4", "--out", tmp_path / "two")
    assert (one.code, two.code) == (0, 0), one.err + two.err
    first, second = (json.loads((tmp_path / name / "config.json").read_text()) for name in ("one", "two"))
    assert (first["config"]["epochs"], first["config"]["batch_size"]) == (1, 100)
    assert (first["training"]["epochs"], first["training"]["batch_size"], first["training"]["seed"]) == (1, 100, 3)
    assert second["config"]["steps"] == second["training"]["steps"] == 4
    assert "batch_size" not in second["config"]
    assert second["training"]["batch_size"] == 100
    assert second["training"]["clip_norm"] == 5.0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["clasifier", "--data=digits"], "'clasifier' is unknown; closest: classifier"),
        (["broken", "--data=digits"], "of privkd-broken 0.3 cannot be loaded"),
        (["classifier", "--data=digits", "--set=epoch=3"], "did you mean 'epochs'"),
        (["classifier", "--data=digits", "--set=lr=fast"], "lr='fast' must be a finite number"),
        (["classifier", "--data=digits", "--set=lr"], "'lr' is not of the form key=value"),
        (["classifier", "--data=digits", "--set=epochs=3", "--epochs=4"], "'epochs' is set twice"),
        (["classifier", "--data=digits", "--steps=0"], "steps=0"),
        (["classifier", "--data=digits", "--epochs=0"], "epochs=0"),
        (["classifier", "--data=digits", "--seed=-1"], "seed"),
        (["classifier", "--data=digits", "--precision=fp8"], "precision='fp8'"),
        (["classifier", "--data=digits", "--device=tpu9"], "tpu9"),
        (["classifier", "--data=digits", "--device=cuda:77"], "cuda:77"),
        (["classifier", "--data=digits", "--processes=0"], "processes=0"),
        (["classifier", "--data=digits", "--tracker=tensorbord"], "did you mean 'tensorboard'"),
        (["classifier", "--data=absent.npz"], "absent.npz"),
        (["classifier", "--data=absent.npz", "--processes=2"], "absent.npz"),
        (["classifier", "--data=digits", "--set=lrr=3", "--processes=2"], "'lrr' is no setting"),
    ],
)
def test_bad_options_are_refused_in_words_and_leave_nothing(privkd, tmp_path, installed, arguments, named):
    outcome = privkd("train", *arguments, "--out", tmp_path / "run")
    assert outcome.code == 3, outcome.err
    assert named in outcome.err
    assert outcome.out == ""
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "run").exists()


def test_epsilon_trains_privately_and_leaves_a_release_that_audits(privkd, tmp_path):
    command = ("train", "classifier", "--data=digits", "--epsilon=3", "--steps=20", "--json")
    done = privkd(*command, "--out", tmp_path / "run")
    assert done.code == 0, done.err
    values = json.loads(done.out)
    assert values["guarantee"].startswith("(3.0, 1e-05)-DP for each training record")
    assert set(values["last"]) <= {"step", "epoch"}, "nothing that was computed from private rows"
    assert privkd("audit", tmp_path / "run" / "release" / "network").code == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["guarantee"].startswith(
        "of what lies in release/"
    )
    ledger = (tmp_path / "run" / "ledger.json").read_bytes()
    again = privkd(*command, "--out", tmp_path / "run")  # finished already: neither trained nor charged again
    assert again.code == 0, again.err
    assert (tmp_path / "run" / "ledger.json").read_bytes() == ledger


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--data=digits", "--epsilon=0"], "epsilon=0"),
        (["--data=digits", "--delta=1e-5"], "belong to a private run"),
        (["--data=digits", "--epsilon=3", "--evaluate=digits"], "nothing would protect figures of them"),
        (["--data=FOUND", "--epsilon=3"], "classes"),
        (["--data=digits", "--module=teacher"], "must be NAME=FILE"),
    ],
)
def test_private_options_that_protect_nobody_are_refused(privkd, tmp_path, arguments, named):
    import numpy as np

    np.savez(tmp_path / "found.npz", x=np.zeros((20, 3), dtype=np.float32), y=np.arange(20) % 2)
    told = [text.replace("FOUND", str(tmp_path / "found.npz")) for text in arguments]
    outcome = privkd("train", "classifier", *told, "--out", tmp_path / "run")
    assert outcome.code == 3, outcome.out
    assert named in outcome.err
    assert not (tmp_path / "run").exists()


def test_figures_and_a_picture_of_other_data_are_for_the_asking(privkd, tmp_path):
    done = privkd(
        "train", "classifier", "--data=example", "--steps=20", "--evaluate=digits", "--out", tmp_path / "run", "--json"
    )
    assert done.code == 0, done.err
    values = json.loads(done.out)
    assert 0.0 < values["evaluated"]["accuracy"] <= 1.0
    assert Path(values["picture"]).read_bytes().startswith(b"\x89PNG")


def test_another_run_in_the_folder_is_refused(privkd, tmp_path):
    command = ("train", "classifier", "--data=digits", "--steps=2", "--out", tmp_path / "run")
    assert privkd(*command).code == 0
    assert privkd(*command).code == 0  # the same run: finished already
    outcome = privkd(*command, "--set=lr=0.5")
    assert outcome.code == 3
    assert "config.lr was 0.002, is 0.5" in outcome.err


def test_recipes_lists_all_and_names_the_broken_ones(privkd, installed):
    outcome = privkd("recipes", "--json")
    assert outcome.code == 0, outcome.err
    known = {one["name"]: one for one in json.loads(outcome.out)["recipes"]}
    assert {"classifier", "centroids", "broken", "forgetful"} <= set(known)
    assert known["centroids"]["problem"] == ""
    assert "privkd-broken 0.3" in known["broken"]["problem"]
    assert "privkd-broken 0.3" in " ".join(privkd("recipes").out.split())


def test_recipes_prints_the_card_and_the_settings_of_one(privkd):
    outcome = privkd("recipes", "classifier")
    assert outcome.code == 0, outcome.err
    for text in ("held_out", "baselines", "learns from", "no paper stands behind it", "--epsilon"):
        assert text in " ".join(outcome.out.split())
    listed = json.loads(privkd("recipes", "classifier", "--json").out)["recipes"][0]
    assert (listed["family"], listed["data"], listed["deploys"]) == ("baselines", "Records", ["network"])
    assert "one of auto, mlp, cnn" in outcome.out
    absent = privkd("recipes", "*nonsense*")
    assert (absent.code, absent.out) == (3, "")
    assert "no recipe fits '*nonsense*'; there are classifier" in absent.err


def test_two_processes_end_with_what_one_learns_and_speak_once(privkd, tmp_path):
    common = ("train", "classifier", "--data=digits", "--set=epochs=4", "--json")
    alone = json.loads(privkd(*common, "--out", tmp_path / "one").out)
    process = start(*common, "--out", tmp_path / "two", "--processes=2")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    shared = json.loads(out)  # one object, of one process
    assert shared["last"]["accuracy"] == pytest.approx(alone["last"]["accuracy"], abs=0.02)
    said = [line for line in err.splitlines() if " left" not in line and " at work" not in line]  # on a slow machine
    assert said == ["classifier: 100 steps done"]
    one, two = (json.loads((tmp_path / name / "config.json").read_text()) for name in ("one", "two"))
    assert one == two
    refused = start(*common, "--out", tmp_path / "two", "--set=lr=0.5", "--processes=2")
    out, err = refused.communicate(timeout=120)
    assert (refused.returncode, out) == (3, "")
    assert "config.lr was 0.002, is 0.5" in err
    assert "Traceback" not in err


def test_several_processes_save_themselves_when_they_are_asked_to_end_and_go_on(tmp_path):
    command = ("train", "classifier", "--data=digits", "--set=epochs=40", "--out", tmp_path / "run", "--processes=2")
    process = start(*command)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("run/checkpoints/step-*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (3, ""), err
    assert err.count("the run is saved") == 1
    assert "Traceback" not in err
    stopped = max(int(path.name[5:]) for path in tmp_path.glob("run/checkpoints/step-*"))
    assert f"at step {stopped} of 1000" in err
    process = start(*command, "--json")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert json.loads(out)["last"]["step"] == 1000
    steps = [json.loads(line)["step"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps))


def test_sharded_weights_and_a_tracker_are_for_the_asking(privkd, tmp_path):
    pytest.importorskip("tensorboard")
    process = start(
        "train", "classifier", "--data=digits", "--set=epochs=2", "--out", tmp_path / "run", "--processes=2", "--sharded",
        "--tracker=tensorboard", "--json",
    )  # fmt: skip
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    alone = json.loads(
        privkd("train", "classifier", "--data=digits", "--set=epochs=2", "--out", tmp_path / "one", "--json").out
    )
    assert json.loads(out)["last"]["accuracy"] == pytest.approx(alone["last"]["accuracy"], abs=0.03)
    assert list(tmp_path.glob("run/**/events.out.tfevents*"))
