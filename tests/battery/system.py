"""What every recipe of privkd must hold, whatever it learns: subclass `System` with its name and, where needed, quick settings.

class TestClassifier(System):
    name = "classifier"
    settings = ("epochs=1",)
"""

from __future__ import annotations

import dataclasses
import math
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from torch import Tensor, nn

from privkd.errors import TrainingStopped
from privkd.recipes import Recipe, build, family_of, get, load, names, train
from privkd.trainer import seeded

ROOT = Path(__file__).parents[2]


def tensors_of(value):
    """All tensors of a product, by name, so that two products can be compared bit for bit."""
    if isinstance(value, nn.Module):
        return dict(value.state_dict())
    if isinstance(value, Tensor):
        return {"": value}
    if isinstance(value, dict):
        return {f"{key}/{name}": found for key, inner in value.items() for name, found in tensors_of(inner).items()}
    if dataclasses.is_dataclass(value):
        return tensors_of({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
    return {}


def content_of(product, folder):
    """The bytes that a product writes when it saves itself, by file."""
    path = folder / "product"
    product.save(path)
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files if file.is_file()}


def assert_same(one, two):
    """Two products, or mappings of them, are equal bit for bit: tensors by value, what has none by the files it writes."""
    if isinstance(one, dict) and not all(isinstance(value, Tensor) for value in one.values()):
        assert one.keys() == two.keys()
        for name, value in one.items():
            assert_same(value, two[name])
        return
    left, right = tensors_of(one), tensors_of(two)
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert torch.equal(value, right[name]), name
    if not left:
        with TemporaryDirectory() as mine, TemporaryDirectory() as yours:
            assert content_of(one, Path(mine)) == content_of(two, Path(yours))


def broken(data):
    """Ways to spoil data of any kind that is a frozen dataclass, by what is wrong then; each gives the data or raises."""
    ways = {}
    for field in dataclasses.fields(data):
        value = getattr(data, field.name)
        if isinstance(value, tuple) and value and all(map(dataclasses.is_dataclass, value)):
            ways[f"no rows in {field.name}"] = (field.name, ())
            ways[f"a row twice in {field.name}"] = (field.name, (*value, value[0]))
        if not isinstance(value, Tensor):
            continue
        changed = value.clone()
        if value.is_floating_point():
            changed.view(-1)[0] = math.nan
            ways[f"NaN in {field.name}"] = (field.name, changed)
        elif field.name == "labels":
            changed[0] = -7
            ways["a label out of range"] = (field.name, changed)
            ways["one class"] = (field.name, torch.zeros_like(value))
        ways[f"no rows in {field.name}"] = (field.name, value[:0])
    return {
        what: lambda name=name, changed=changed: dataclasses.replace(data, **{name: changed})
        for what, (name, changed) in ways.items()
    }


class System:
    """The battery. `inputs` is needed where modules are deployed; the others have defaults."""

    name: str
    settings: tuple[str, ...] = ()
    """Quick ones, with which the first and the last stage take three steps or more: runs are stopped after two."""
    times: tuple[str, ...] = ()
    """Figures that are measured times, and so differ from run to run."""
    allowed_broken: tuple[str, ...] = ()
    """What of `broken` this system learns from all the same, each with its reason beside it."""

    def data(self):
        """Small data; by default the example of the recipe."""
        return self.recipe().example()

    def modules(self):
        """Modules that are handed in, by name."""
        return {}

    def inputs(self, data):
        """An example input of every deployed module, by its name: a tuple of tensors."""
        return {}

    def recipe(self) -> Recipe:
        return build(self.name, self.settings, **self.modules())

    @pytest.fixture(scope="class")
    @classmethod
    def rows(cls):
        return cls().data()

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory):
        return tmp_path_factory.mktemp(cls.name) / "run"

    @pytest.fixture(scope="class")
    @classmethod
    def trained(cls, rows, folder):
        return train(cls().recipe(), rows, folder=folder)

    def test_it_is_listed_with_a_card_and_has_a_page(self):
        card = self.recipe().card
        assert self.name in names()
        assert get(self.name).__module__.endswith(f".{family_of(self.name)}.{self.name.replace('-', '_')}")
        assert card.proof, "the card says what the proof showed"
        assert card.paper or card.ours
        page = ROOT / "docs" / "systems" / f"{self.name}.md"
        text = " ".join(page.read_text().split())
        for entry in (*card.reconstructed, *card.ours):
            assert " ".join(entry.split()) in text, f"{page.name} does not tell: {entry}"

    def test_it_makes_what_it_deploys_and_says_how_it_went(self, trained, folder):
        assert list(trained.deployed) == list(self.recipe().kinds)
        if self.recipe().stages is not None:
            assert all(math.isfinite(v) for row in trained.history for v in row.values() if isinstance(v, float))
            assert len(trained.history) >= 1
        for file in trained.files.values():
            assert (folder / file).exists()

    def test_equal_seeds_make_equal_products_and_a_stopped_run_ends_bit_for_bit(
        self, trained, rows, monkeypatch, tmp_path
    ):
        again = None
        if self.recipe().stages is not None:
            with seeded(0):
                last = len(self.recipe().stages(rows)) - 1
            for stage in sorted({0, last}):  # what a later stage reads off an earlier one has to come back, too
                with stopping_after(2, monkeypatch, stage=stage), pytest.raises(TrainingStopped):
                    train(self.recipe(), rows, folder=tmp_path / "cut")
            again = train(self.recipe(), rows, folder=tmp_path / "cut")
        again = again or train(self.recipe(), rows)
        assert_same(again.deployed, trained.deployed)

    def test_it_comes_back_from_its_folder_and_answers_the_same(self, trained, rows, folder):
        back = load(folder)
        assert back.recipe.config == trained.recipe.config
        assert_same(back.deployed, trained.deployed)
        if trained.recipe.evaluate is not None:
            before, after = trained.evaluate(rows), back.evaluate(rows)
            assert after, "no figure is left without the helpers"
            assert all(after[name] > 0 for name in self.times)
            kept = {name: value for name, value in after.items() if name not in self.times}
            assert {name: before[name] for name in kept} == pytest.approx(kept, abs=1e-12)

    def test_deployed_modules_need_no_helper_and_export_as_they_answer(self, trained, rows):
        inputs = self.inputs(rows)
        assert set(inputs) == set(trained.modules), "inputs() gives an example for every deployed module"
        for name, module in trained.modules.items():
            shared = {id(p) for p in module.parameters()} & {
                id(p) for helper in trained.helpers.values() for p in helper.parameters()
            }
            assert not shared, f"{name} shares weights with a helper"
            program = torch.export.export(module, inputs[name]).module()
            with torch.no_grad():
                torch.testing.assert_close(program(*inputs[name]), module(*inputs[name]), rtol=0, atol=1e-6)

    def test_its_picture_draws(self, trained, rows, tmp_path):
        if trained.recipe.picture is None:
            pytest.skip(f"{self.name} has no picture")
        file = tmp_path / "picture.png"
        trained.picture(rows).savefig(file)
        assert file.stat().st_size > 2000

    def test_common_bad_input_is_refused_in_words(self, rows):
        with pytest.raises(
            TypeError, match=rf"recipe '{self.name}' learns from {self.recipe().data.__name__}, got list"
        ):
            train(self.recipe(), [1, 2, 3])
        for what, spoil in broken(rows).items():
            if what in self.allowed_broken:
                continue
            with pytest.raises((ValueError, TypeError)) as refused:
                train(self.recipe(), spoil())
            assert len(str(refused.value)) > 30, what

    def test_what_it_reads_off_its_rows_before_training_is_in_its_card(self, rows):
        recipe = self.recipe()
        private = None if recipe.private is None else recipe.private()
        if recipe.stages is None:
            pytest.skip("no training")
        for made in [recipe] if private is None else [recipe, private]:
            first, second = (_fresh(made, data) for data in (rows, _negative(rows)))
            if not all(torch.equal(first[name], second[name]) for name in first):
                assert made.card.private_statistics, "modules begin with something that was read off the rows"
        if private is not None:
            assert not private.card.private_statistics


def _fresh(recipe, data):
    """Everything that the modules of the first stage begin with."""
    with seeded(0):
        task = recipe.stages(data)[0].task
    return {f"{name}.{key}": v for name, module in task.modules.items() for key, v in tensors_of(module).items()}


def _negative(data):
    """Data of the same form whose floating columns are the complements of their values."""
    changes = {
        field.name: 1.0 - getattr(data, field.name)
        for field in dataclasses.fields(data)
        if isinstance(getattr(data, field.name), Tensor) and getattr(data, field.name).is_floating_point()
    }
    return dataclasses.replace(data, **changes)


@contextmanager
def stopping_after(steps, monkeypatch, *, stage=0):
    """Runs are asked to end after so many steps of a stage, counted from 0; a run that goes on begins in the first one."""

    @contextmanager
    def watching(engine):
        before, position = 0, 0

        def is_over(step):
            nonlocal before, position
            position += step <= before  # steps are counted anew in every stage
            before = step
            return position == stage and step >= steps

        yield is_over

    with monkeypatch.context() as patched:
        patched.setattr("privkd.trainer.trainer.watching_for_stop", watching)
        yield
