"""A recipe and records become modules in a folder that says whose run it is."""

import hashlib
import json
import warnings
from dataclasses import dataclass, replace

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import privkd
from accountants import Ledger
from privkd.data import Records, load
from privkd.errors import CheckpointError, RecipeError, TaskError, TrainingStopped
from privkd.recipes import Card, Recipe, build, train
from privkd.recipes import load as load_run
from privkd.teachers import load_teacher
from privkd.trainer import Stage, Task, seeded


@pytest.fixture(scope="module")
def digits():
    return load("digits")


@dataclass(frozen=True)
class Length:
    steps: int | None = None
    epochs: int | None = None
    batch_size: int = 2


class Shift(Task):
    """Learns the mean; counts its steps."""

    def __init__(self, net=None):
        self.net = net or nn.Linear(1, 1)
        super().__init__(modules={"net": self.net}, optimizers=[torch.optim.SGD(self.net.parameters(), lr=0.1)])
        self.steps = 0
        self.sizes = set()

    def step(self, batch, context):
        self.steps += 1
        self.sizes.add(len(batch.index))
        return {"square": (self.modules["net"](batch.tensors[0]) - 1.0).square().mean()}


RECORDS = Records(torch.arange(8.0).reshape(8, 1) / 8, None, "line")


def toy(config=Length(), *, own=None, task=None, deploy=("net",)):
    def stages(records):
        return [Stage("only", task or Shift(), (records.inputs,), steps=own)]

    return Recipe(name="toy", config=config, stages=stages, deploy=deploy, data=Records, card=Card(title="for a test"))


def test_the_folder_holds_modules_config_and_metrics(digits, tmp_path):
    trained = train(build("classifier", ["epochs=2"]), digits, folder=tmp_path / "run")
    found = {path.name for path in (tmp_path / "run").iterdir()}
    assert found == {"checkpoints", "config.json", "metrics.jsonl", "network.json", "network.safetensors"}
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["recipe"] == "classifier"
    assert config["config"]["epochs"] == 2
    assert config["records"] == {"rows": 1797, "shape": [64], "classes": 10}
    assert config["deployed"] == {"network": "network.safetensors"}
    assert config["guarantee"].startswith("none: ")
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert lines == trained.history.rows
    again = load_teacher(tmp_path / "run" / "network.safetensors")
    assert torch.equal(again(digits.inputs[:5]), trained.modules["network"](digits.inputs[:5]))


def test_the_seed_decides_the_weights(digits):
    recipe = build("classifier", ["epochs=1"])
    runs = [train(recipe, digits, seed=seed).modules["network"].state_dict() for seed in (1, 1, 2)]
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])
    assert not torch.equal(runs[0]["body.1.weight"], runs[2]["body.1.weight"])


def test_a_stopped_run_goes_on_and_ends_as_if_it_had_not_been(digits, tmp_path, monkeypatch):
    recipe = build("classifier", ["epochs=2"])
    train(recipe, digits, folder=tmp_path / "whole")
    stop = iter([*[False] * 20, *[True] * 10])
    with monkeypatch.context() as patched:
        patched.setattr("privkd.trainer.trainer.watching_for_stop", lambda engine: _Watch(stop))
        with pytest.raises(TrainingStopped):
            train(recipe, digits, folder=tmp_path / "cut")
    assert json.loads((tmp_path / "cut" / "config.json").read_text())["deployed"] is None
    train(recipe, digits, folder=tmp_path / "cut")
    for name in ("network.safetensors", "metrics.jsonl", "config.json"):
        one, two = ((tmp_path / run / name).read_bytes() for run in ("whole", "cut"))
        assert hashlib.sha256(one).digest() == hashlib.sha256(two).digest(), name


class _Watch:
    """Asks an iterator instead of the operating system."""

    def __init__(self, answers):
        self.answers = answers

    def __enter__(self):
        return lambda step: next(self.answers)

    def __exit__(self, *_):
        return None


def test_a_finished_run_is_not_trained_again(tmp_path):
    first = toy(Length(steps=7))
    before = train(first, RECORDS, folder=tmp_path / "run").modules["net"].state_dict()
    task = Shift()
    after = train(toy(Length(steps=7), task=task), RECORDS, folder=tmp_path / "run").modules["net"].state_dict()
    assert task.steps == 0
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("settings", "options", "told"),
    [
        (["lr=0.1"], {}, "config.lr was 0.002, is 0.1"),
        ([], {"seed": 1}, "training.seed was 0, is 1"),
        ([], {"batch_size": 32}, "training.batch_size was 64, is 32"),
    ],
)
def test_another_run_in_the_folder_is_refused_with_what_differs(tmp_path, settings, options, told):
    digits = load((torch.rand(20, 3), [0, 1] * 10))
    train(build("classifier", ["epochs=1"]), digits, folder=tmp_path)
    kept = load_file(tmp_path / "network.safetensors")
    with pytest.raises(CheckpointError, match="holds another run") as refused:
        train(build("classifier", ["epochs=1", *settings]), digits, folder=tmp_path, **options)
    assert told in str(refused.value)
    now = load_file(tmp_path / "network.safetensors")
    assert all(torch.equal(now[name], kept[name]) for name in kept)


@pytest.mark.parametrize("content", [{"diary.txt": "mine"}, {"config.json": "{}"}, {"config.json": "no json"}])
def test_a_foreign_folder_is_refused_untouched(tmp_path, content):
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(FileExistsError, match="holds no run of a recipe"):
        train(toy(Length(steps=1)), RECORDS, folder=tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == content
    with pytest.raises(FileExistsError, match="is no folder"):
        train(toy(Length(steps=1)), RECORDS, folder=tmp_path / next(iter(content)))


def test_a_run_may_begin_where_another_process_of_it_has_begun(tmp_path):
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    train(toy(Length(steps=1)), RECORDS, folder=tmp_path / "run")
    assert (tmp_path / "run" / "net.safetensors").is_file()


@pytest.mark.parametrize(
    ("config", "own", "options", "steps", "rows"),
    [
        (Length(steps=5), None, {}, 5, 2),
        (Length(epochs=2), None, {}, 8, 2),
        (Length(epochs=2), None, {"steps": 3}, 3, 2),
        (Length(steps=5), None, {"epochs": 1, "batch_size": 4}, 2, 4),
        (Length(), 6, {}, 6, 2),
        (Length(epochs=9), 6, {}, 6, 2),
    ],
)
def test_the_length_is_the_callers_then_the_stages_then_the_configs(config, own, options, steps, rows):
    task = Shift()
    train(toy(config, own=own, task=task), RECORDS, **options)
    assert task.steps == steps
    assert task.sizes == {rows}


@pytest.mark.parametrize(
    ("config", "own", "options", "told"),
    [
        (Length(), None, {}, "no length of its own"),
        (Length(), 6, {"steps": 3}, "steps=3 has no effect"),
        (Length(steps=1, epochs=1), None, {}, "exactly one"),
        (Length(), None, {"steps": 1, "epochs": 1}, "exactly one"),
        (Length(), None, {"steps": 0}, "steps=0"),
        (Length(steps=1), None, {"seed": -1}, "seed"),
    ],
)
def test_a_length_that_means_nothing_is_refused(config, own, options, told):
    with pytest.raises((ValueError, RuntimeError), match=told):
        train(toy(config, own=own), RECORDS, **options)


def test_a_module_that_no_stage_has_is_noticed_before_training():
    task = Shift()
    with pytest.raises(RecipeError, match=r"deploys \['student'\], but it made \['net'\]"):
        train(toy(Length(steps=1), task=task, deploy=("net", "student")), RECORDS)
    assert task.steps == 0


def test_a_recipe_of_another_package_runs_in_two_stages(installed, digits, tmp_path):
    trained = train(build("centroids"), digits, folder=tmp_path / "run")
    centres = trained.modules["centres"].weight
    assert [row["stage"] for row in trained.history][:: len(trained.history) - 1] == ["rough", "fine"]
    means = torch.stack([digits.inputs[digits.labels == k].mean(dim=0) for k in range(10)])
    nearest = torch.cdist(means, centres).argmin(dim=1)
    assert nearest.tolist() == list(range(10))
    fresh = train(build("centroids", ["steps=1", "rates=1e-9,1e-9"]), digits).modules["centres"].weight
    assert torch.cdist(means, fresh).argmin(dim=1).tolist() != list(range(10))


def test_only_the_release_of_a_private_run_comes_back_with_its_certificate(digits, tmp_path):
    trained = train(build("classifier"), digits, folder=tmp_path / "run", epsilon=2.0, steps=5)
    assert 1.99 < trained.certificate.epsilon <= 2.0
    assert load_run(tmp_path / "run").certificate is None, "nothing binds these weights to the ledger"
    released = privkd.load(tmp_path / "run" / "release" / "network")
    assert str(released.certificate) == str(trained.certificate)
    assert torch.equal(released.student(digits.inputs[:5]), trained.deployed["network"](digits.inputs[:5]))


def test_privacy_is_refused_to_recipes_that_read_their_rows_otherwise(digits):
    with pytest.raises(ValueError, match="'toy' cannot be trained with privacy"):
        train(toy(Length(steps=1)), RECORDS, epsilon=1.0)
    with pytest.raises(ValueError, match="delta and ledger belong to a private run"):
        train(toy(Length(steps=1)), RECORDS, delta=1e-5)
    unnamed = Records(digits.inputs, digits.labels, "unnamed")
    with pytest.raises(ValueError, match="number of classes is that of their largest label"):
        train(build("classifier"), unnamed, epsilon=1.0)


def test_nothing_of_the_rows_is_in_a_private_network_before_it_is_trained(digits):
    private = build("classifier").private()
    other = Records(1 - digits.inputs, digits.labels.flip(0), "other", digits.class_names)
    with seeded(0):
        first = private.stages(digits)[0].task.modules["network"].state_dict()
    with seeded(0):
        second = private.stages(other)[0].task.modules["network"].state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    public = build("classifier").stages(digits)[0].task.modules["network"]
    assert not torch.equal(public.shift, first["shift"]), "the public form standardises, or this test cannot fail"


def test_classes_that_were_counted_when_records_were_taken_are_not_declared(digits):
    taken = Records(digits.inputs, digits.labels, "counted").take(range(100))
    assert taken.names_counted
    assert not digits.take(range(100)).names_counted
    with pytest.raises(ValueError, match="number of classes is that of their largest label"):
        train(build("classifier"), taken.take(range(50)), epsilon=1.0)


def private_toy(task, *, deploy=("net",), extra=(), products=None, run_stages=None):
    def stages(records):
        return run_stages(records) if run_stages else [Stage("only", task, (records.inputs,)), *extra]

    made = Recipe(
        name="toy",
        config=Length(steps=2),
        data=Records,
        card=Card(title="for a test"),
        stages=stages,
        deploy=deploy,
        products=products,
    )
    return replace(made, private=lambda: made)


def ledger():
    return Ledger(adjacency="add-remove", n=len(RECORDS))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"products": lambda stages: {"rows": {"x": RECORDS.inputs}}, "deploy": {"net": nn.Module, "rows": dict}},
            "keeps more",
        ),
        ({"products": lambda stages: {"net": nn.Linear(1, 1)}}, "keeps more than modules"),
        (
            {"extra": [Stage("more", Shift(), (RECORDS.inputs,))]},
            r"deploys \['net'\], which its one stage does not train",
        ),
        ({"deploy": ("net", "teacher")}, r"deploys \['teacher'\], which its one stage does not train"),
    ],
)
def test_a_private_recipe_deploys_what_its_one_stage_trains_and_nothing_else(changes, told):
    task, charged = Shift(), ledger()
    task.frozen["teacher"] = nn.Linear(1, 1)
    with pytest.raises(RecipeError, match=told):
        train(private_toy(task, **changes), RECORDS, epsilon=1.0, ledger=charged)
    assert not charged.events


def test_what_a_private_recipe_of_others_says_of_the_rows_is_kept_back(recwarn):
    def look(records):
        warnings.warn(f"smallest {records.inputs.min()}", stacklevel=1)
        raise ValueError(f"a bad record {records.inputs[3].tolist()}")

    with pytest.raises(TaskError, match="its text may quote private rows") as refused:
        train(private_toy(Shift(), run_stages=look), RECORDS, epsilon=1.0)
    assert "0.375" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert not [warning for warning in recwarn if "smallest" in str(warning.message)]


@pytest.mark.parametrize("name", ["certificate", "ledger", "release", "checkpoints", "picture", "metrics"])
def test_products_cannot_take_the_names_of_the_other_files(name):
    with pytest.raises(ValueError, match="is the name of another file"):
        toy(deploy=(name,))


def test_options_that_a_run_without_training_cannot_follow_are_refused():
    still = replace(toy(), stages=None, run=lambda records: {"net": nn.Linear(1, 1)})
    assert list(train(still, RECORDS).deployed) == ["net"]
    for option in ({"steps": 3}, {"device": "cpu"}, {"precision": "bf16"}, {"sharded": True}, {"trackers": ("x",)}):
        with pytest.raises(ValueError, match=f"{next(iter(option))} of no effect"):
            train(still, RECORDS, **option)
