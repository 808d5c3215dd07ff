"""The correlation filter passes the battery of systems."""

import numpy as np
import pytest
from battery.system import System

from privkd.data import Sequence, Sequences
from privkd.data.procedural import SpriteScene, moving_sprites
from privkd.recipes import build, load, train


class TestCorrelationFilter(System):
    name = "correlation-filter"
    settings = ("scales=1",)
    times = ("frames_per_second",)

    def data(self):
        return moving_sprites(2, SpriteScene(frames=6))


def test_its_folder_holds_its_settings_and_its_figures_name_a_box_that_never_moves(tmp_path):
    data = moving_sprites(1, SpriteScene(frames=12))
    train(build("correlation-filter", ["rate=0.1"]), data, folder=tmp_path / "run")
    back = load(tmp_path / "run")
    assert back.deployed["tracker"].settings.rate == 0.1
    figures = back.evaluate(data)
    assert set(figures) == {
        "success_auc",
        "precision_20",
        "normalised_auc",
        "average_overlap",
        "success_50",
        "static_success_auc",
        "frames_per_second",
    }
    assert figures["success_auc"] > figures["static_success_auc"] + 0.2


def test_figures_of_frames_with_the_target_are_left_out_where_there_are_none():
    boxes = np.array([[2.0, 2.0, 4.0, 4.0], [0, 0, 0, 0], [0, 0, 0, 0]])
    gone = Sequences((Sequence.of("gone", np.zeros((3, 16, 16, 3), np.uint8), boxes),), "gone")
    figures = train(build("correlation-filter"), gone).evaluate(gone)
    assert not {"average_overlap", "success_50"} & set(figures)
    assert figures["success_auc"] == pytest.approx(20 / 21 / 3)  # the first frame alone


def test_lengths_of_a_training_are_refused():
    with pytest.raises(ValueError, match="is no training"):
        train(build("correlation-filter"), build("correlation-filter").example(), epochs=3)
