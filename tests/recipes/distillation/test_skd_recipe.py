"""The recipe `skd`: what the student copies, what the teacher keeps, and what is refused."""

import dataclasses

import pytest
import torch
from torch import nn

from privkd.data import PairedViews
from privkd.data.procedural import paired_faces
from privkd.networks import LRNet16, SmallNet, fuse
from privkd.recipes import build, load, train
from privkd.recipes.distillation.cross_view import cross_view_figures, embeddings
from privkd.recipes.distillation.robust_selection import SelectionRule, robust_selection
from privkd.recipes.distillation.skd import SelectiveMimicry, SKDConfig, network_for, with_targets
from privkd.trainer import Batch, Context, seeded

QUICK = ("epochs=1", "teacher_epochs=1", "dim=16")


@pytest.fixture(scope="module")
def faces():
    return paired_faces(6, 8, damaged=0.35, seed=1)


def a_teacher(dim=8, side=32):
    with seeded(0):
        network = SmallNet(side, 4, dim)
        network(torch.rand(16, 1, side, side))  # statistics of the normalisation that are not those of birth
    return network


def test_a_teacher_that_is_handed_in_is_used_in_eval_mode_and_stays_as_it_was(faces):
    teacher = a_teacher().train()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    trained = train(build("skd", QUICK, teacher=teacher), faces)
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert trained.helpers["teacher"] is teacher
    assert [row["stage"] for row in trained.history if "stage" in row] == []  # one stage
    targets = with_targets(faces, a_teacher().train(), SelectionRule())
    with torch.no_grad():
        assert torch.allclose(targets.extra["feature"], a_teacher().eval()(faces.high), atol=1e-6)


def test_the_teacher_learns_first_and_is_frozen_for_the_student(faces):
    first, second = build("skd", QUICK).stages(faces)
    assert (first.name, second.name) == ("teacher", "student")
    assert first.task.modules["teacher"] is second.task.frozen["teacher"]
    made = second.data()
    assert list(made.columns()) == ["high", "low", "label", "damaged", "keep", "feature"]
    assert torch.equal(made.extra["keep"], robust_selection(made.extra["feature"], faces.labels))


def test_a_choice_that_comes_with_the_rows_is_kept(faces):
    chosen = torch.arange(len(faces)) % 2 == 0
    made = with_targets(faces.with_column("keep", chosen), a_teacher(), SelectionRule())
    assert torch.equal(made.extra["keep"], chosen)


def test_features_that_were_not_selected_teach_nothing(faces):
    student = a_teacher(side=8)
    task = SelectiveMimicry(student, nn.Linear(8, 6), a_teacher(), SKDConfig(feature_weight=3.0))
    feature, keep = torch.randn(12, 8), torch.arange(12) < 5
    rows = {"low": faces.low[:12], "label": faces.labels[:12], "feature": feature, "keep": keep}
    student.eval()
    context = Context(0, 0, 1, torch.device("cpu"), torch.Generator())
    found = task.step(Batch(torch.arange(12), rows), context)["features"]
    assert float(context.logs["copied"][0]) == pytest.approx(5 / 12)
    other = torch.where(keep[:, None], feature, torch.randn(12, 8))
    assert torch.equal(found, task.step(Batch(torch.arange(12), rows | {"feature": other}), context)["features"])
    unit = nn.functional.normalize
    slow = sum((unit(student(faces.low[i : i + 1]))[0] - unit(feature[i], dim=0)).square().sum() for i in range(5)) / 5
    assert float(found.detach()) == pytest.approx(3.0 * float(slow.detach()), rel=1e-5)


def test_networks_fit_the_views():
    assert isinstance(network_for((3, 16, 16), 8), LRNet16)
    assert network_for((1, 8, 8), 8)(torch.zeros(2, 1, 8, 8)).shape == (2, 8)
    with pytest.raises(ValueError, match="8x6 pixels; this network takes square ones: crop or resize"):
        network_for((1, 8, 6), 8)


def test_a_run_on_16_pixels_and_colour_comes_back_from_its_folder(tmp_path):
    views = paired_faces(4, 6, side=32, factor=2, seed=3)
    views = dataclasses.replace(views, high=views.high.expand(-1, 3, -1, -1), low=views.low.expand(-1, 3, -1, -1))
    train(build("skd", QUICK), views, folder=tmp_path / "run")
    student = load(tmp_path / "run").deployed["student"]
    assert isinstance(student, LRNet16)
    with torch.no_grad():
        torch.testing.assert_close(fuse(student)(views.low), student(views.low), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": torch.cat([torch.tensor([-1]), torch.zeros(47, dtype=torch.int64)])}, "take the labelled rows"),
        ({"labels": torch.zeros(48, dtype=torch.int64), "class_names": None}, "show one identity only"),
        ({"high": torch.zeros(48, 1, 32, 30)}, "32x30 pixels"),
        ({"low": torch.zeros(48, 1, 8, 9)}, "8x9 pixels"),
        ({"low": torch.zeros(48, 1, 3, 3)}, "side=3"),
    ],
)
def test_pairs_that_do_not_fit_are_refused_before_training(change, message, faces):
    with pytest.raises(ValueError, match=message):
        train(build("skd", QUICK), dataclasses.replace(faces, **change))


def test_a_teacher_without_embeddings_is_refused_in_words(faces):
    with pytest.raises(ValueError, match=r"Identity gave torch.float32 of shape \(2, 1, 32, 32\) for 2 images"):
        train(build("skd", QUICK, teacher=nn.Identity()), faces)


@pytest.mark.parametrize(
    "setting",
    [
        "feature_weight=-1",
        "epochs=0",
        "teacher_epochs=0",
        "batch_size=0",
        "lr=0",
        "dim=0",
        "threshold=-1",
        "neighbours=0",
    ],
)
def test_settings_out_of_range_are_refused_by_name(setting):
    with pytest.raises(ValueError, match=setting.partition("=")[0]):
        build("skd", [setting])


def test_embeddings_are_those_of_eval_mode_in_parts_and_every_mode_is_put_back(monkeypatch):
    network = a_teacher().train()
    network.blocks[0].eval()
    modes = [module.training for module in network.modules()]
    monkeypatch.setattr("privkd.recipes.distillation.cross_view._ROWS", 3)
    images = torch.rand(7, 1, 32, 32)
    found = embeddings(network, images)
    assert [module.training for module in network.modules()] == modes
    with torch.no_grad():
        torch.testing.assert_close(found, a_teacher().eval()(images), rtol=0, atol=1e-6)


class Told(nn.Module):
    """An embedding that is the first pixels of an image."""

    def forward(self, x):
        return x.flatten(1)[:, :4]


def views_of(low, high, labels):
    shape = (len(labels), 1, 2, 2)
    return PairedViews(high.reshape(shape), low.reshape(shape), labels, "told")


def test_figures_are_1_for_who_knows_everybody_and_chance_for_another_frame():
    labels = torch.arange(4).repeat_interleave(10)
    told = torch.eye(4)[labels]
    swapped = told.roll(1, dims=1)  # a frame of its own: alike among low views, nobody in the gallery
    right = cross_view_figures({"student": Told(), "teacher": Told()}, views_of(told, told, labels))
    assert right == {"low-low": 1.0, "low-low rank-1": 1.0, "cross-view": 1.0, "cross-view rank-1": 1.0}
    wrong = cross_view_figures({"student": Told(), "teacher": Told()}, views_of(swapped, told, labels))
    assert (wrong["low-low"], wrong["low-low rank-1"], wrong["cross-view rank-1"]) == (1.0, 1.0, 0.0)
    assert wrong["cross-view"] < 0.75
    assert set(cross_view_figures({"student": Told()}, views_of(told, told, labels))) == {"low-low", "low-low rank-1"}


def test_figures_are_of_labelled_rows_and_need_enough_of_them():
    labels = torch.arange(4).repeat_interleave(10)
    told = torch.eye(4)[labels]
    some = torch.where(torch.arange(40) % 10 < 7, labels, -1)
    lost = torch.where((some < 0)[:, None], 1 - told, told)
    assert set(cross_view_figures({"student": Told()}, views_of(lost, told, some)).values()) == {1.0}
    with pytest.raises(ValueError, match="no labelled rows"):
        cross_view_figures({"student": Told()}, views_of(told, told, torch.full((40,), -1)))
    with pytest.raises(ValueError, match="needs at least 10 of each"):
        cross_view_figures({"student": Told()}, views_of(told[:10], told[:10], labels[:10]))
