"""Recipes by name: registered once, found by pattern, refused in words; other people's packages included."""

import logging
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint

import pytest
import torch
from torch import nn

from privkd.data import Records
from privkd.errors import RecipeError
from privkd.recipes import Card, Recipe, build, catalogue, get, names, register, train

RECORDS = Records(torch.ones(2, 1), None, "two")


@dataclass(frozen=True)
class Nothing:
    """No settings."""

    epochs: int = 1


def recipe(called, **changes):
    made = Recipe(
        name=called,
        config=Nothing(),
        stages=lambda records: [],
        deploy=("net",),
        data=Records,
        card=Card(title="for a test"),
    )
    return replace(made, **changes)


def test_a_registered_recipe_is_listed_got_and_built():
    @register("toy-kd")
    def toy(config: Nothing = Nothing()) -> Recipe:
        return recipe("toy-kd", config=config)

    assert "toy-kd" in names()
    assert names("toy*d") == ["toy-kd"]
    assert get("toy-kd") is toy
    assert build("toy-kd", ["epochs=7"]).config == Nothing(7)


def test_a_name_is_registered_once():
    @register("toy")
    def toy(config: Nothing = Nothing()) -> Recipe:
        return recipe("toy")

    with pytest.raises(ValueError, match=r"'toy' is registered already, by .*toy"):
        register("toy")(toy)
    with pytest.raises(ValueError, match="'classifier' is registered already"):
        register("classifier")(toy)


def test_the_name_of_a_recipe_of_privkd_is_taken_before_it_is_loaded(monkeypatch):
    monkeypatch.setattr(catalogue, "_factories", {})
    with pytest.raises(ValueError, match=r"by privkd\.recipes\.baselines\.classifier"):

        @register("classifier")
        def mine(config: Nothing = Nothing()) -> Recipe:
            return recipe("classifier")


def test_an_unknown_name_gets_the_three_closest(monkeypatch):
    for name in ("toy-one", "toy-two", "toy-three", "toy-four"):
        register(name)(lambda config=Nothing(): recipe("any"))
    with pytest.raises(ValueError, match="recipe 'toy-on' is unknown; closest: ") as refused:
        get("toy-on")
    closest = str(refused.value).split("closest: ")[1].split(";")[0].split(", ")
    assert len(closest) == 3
    assert closest[0] == "toy-one"


def test_a_factory_without_a_frozen_config_is_refused_when_it_registers():
    @dataclass
    class Loose:
        epochs: int = 1

    loose = Loose()

    def two(config: Nothing = Nothing(), more: int = 1) -> Recipe:
        return recipe("two")

    def given(config: Nothing = Nothing(), *, teacher: int = 1) -> Recipe:
        return recipe("given")

    for factory in (given, lambda: None, lambda config: None, lambda config=loose: None, two):
        with pytest.raises(TypeError, match="must have one parameter, whose default is a frozen dataclass"):
            register("odd")(factory)
    with pytest.raises(ValueError, match="name='o d' must be letters"):
        register("o d")(lambda config=Nothing(): None)
    assert "odd" not in names()


def test_modules_are_handed_in_by_the_names_that_the_factory_has():
    @register("given")
    def given(config: Nothing = Nothing(), *, teacher: nn.Module | None = None) -> Recipe:
        return recipe("given", run=lambda records: {"net": teacher}, stages=None)

    teacher = nn.Linear(1, 1)
    assert train(build("given", teacher=teacher), RECORDS).deployed["net"] is teacher
    with pytest.raises(ValueError, match="takes no module 'techer'; it takes teacher"):
        build("given", techer=teacher)
    with pytest.raises(TypeError, match=r"teacher is str; a torch\.nn\.Module is needed"):
        build("given", teacher="teacher.safetensors")
    with pytest.raises(RecipeError, match="deploys 'net' as Module, but made a NoneType"):
        train(build("given"), RECORDS)


def test_a_factory_must_return_the_recipe_of_its_name():
    register("liar")(lambda config=Nothing(): recipe("truth"))
    register("lazy")(lambda config=Nothing(): None)
    with pytest.raises(RecipeError, match="registered as 'liar' and returned the recipe 'truth'"):
        build("liar")
    with pytest.raises(RecipeError, match="returned NoneType"):
        build("lazy")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": "a/b"}, "name='a/b'"),
        ({"deploy": ()}, "at least one product"),
        ({"deploy": ("net", "net")}, "each once"),
        ({"deploy": ("../net",)}, "deploy='../net'"),
        ({"deploy": ("config",)}, "name of another file"),
        ({"stages": None}, "no stages and run"),
        ({"run": lambda records: {}}, "both stages and run"),
    ],
)
def test_a_recipe_checks_itself(changes, told):
    with pytest.raises(ValueError, match=r"must|another file|give one") as refused:
        recipe("toy", **changes)
    assert told in str(refused.value)


def test_a_config_that_can_be_changed_is_refused():
    with pytest.raises(TypeError, match="an instance of a frozen dataclass is needed"):
        recipe("toy", config={"epochs": 1})
    with pytest.raises(TypeError, match="frozen dataclass"):
        recipe("toy", config=Nothing)


def test_every_recipe_of_privkd_builds_and_has_a_summary():
    for name in catalogue.BUILT_IN:
        assert build(name).name == name


def test_an_installed_package_adds_a_recipe(installed):
    import sys

    assert "centroids" in names()
    assert "privkd_example" not in sys.modules, "listing must import nothing"
    assert build("centroids", ["steps=5", "rates=0.5,0.1"]).config.rates == (0.5, 0.1)


def test_without_the_package_there_is_no_such_recipe():
    assert "centroids" not in names()
    with pytest.raises(ValueError, match="'centroids' is unknown"):
        get("centroids")


def test_a_broken_package_is_named_leaves_nothing_behind_and_breaks_no_other(installed):
    with pytest.raises(RecipeError, match=r"'broken' = privkd_broken of privkd-broken 0\.3 .*KeyError.*accelerator"):
        get("broken")
    with pytest.raises(RecipeError, match=r"privkd-broken 0\.3 was loaded, but registered no recipe 'forgetful'"):
        get("forgetful")
    assert "half-done" not in names()
    assert build("centroids").name == "centroids"
    assert build("classifier").name == "classifier"
    assert {"broken", "forgetful"} <= set(names())


def test_two_packages_with_one_name_are_both_named(monkeypatch):
    offers = [EntryPoint("twin", f"package_{letter}", catalogue.GROUP) for letter in "ab"]
    monkeypatch.setattr(catalogue, "entry_points", lambda group: offers)
    with pytest.raises(RecipeError, match="offered twice, by 'twin' = package_a and by 'twin' = package_b"):
        get("twin")


def test_a_package_cannot_replace_a_recipe_of_privkd(monkeypatch, caplog):
    offer = EntryPoint("classifier", "evil_package", catalogue.GROUP)
    monkeypatch.setattr(catalogue, "entry_points", lambda group: [offer])
    real = catalogue._factories.pop("classifier")
    monkeypatch.setattr(catalogue, "import_module", lambda name: catalogue._factories.update(classifier=real))
    with caplog.at_level(logging.WARNING, "privkd"):
        assert get("classifier") is real
    assert "'classifier' = evil_package is not used" in caplog.text


def test_an_entry_point_of_the_backport_is_taken_like_one_of_the_standard_library(monkeypatch):
    class Backport:
        """Of importlib_metadata: another class with the same attributes, whose finder may answer in the standard one's place."""

        name, value, dist = "ported", "a_package.ported", None

        def load(self):
            return register("ported")(lambda config=Nothing(): recipe("ported"))

    monkeypatch.setattr(catalogue, "entry_points", lambda group: [Backport()])
    assert "ported" in names()
    assert build("ported").name == "ported"
