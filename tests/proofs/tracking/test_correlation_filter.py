"""Proof: the correlation filter follows targets that a box which never moves, and its own ablations, lose.

Twelve videos of moving sprites on which no setting was chosen (seeds 1 and 2). Success AUC 0.822; a box that never moves 0.079,
without a window 0.195, with one scale 0.692. The differences per video, over their standard errors, are 0.743 / 0.010,
0.627 / 0.087 and 0.130 / 0.012; the bars are the means less three standard errors, and less another 0.06 where one lost video
would cost that much. Without updates it is as good on eleven of these videos, whose targets do not change, and loses one, so
no bar is set there.
"""

import functools

import numpy as np
import pytest

from privkd.data import Sequences
from privkd.data.procedural import moving_sprites
from privkd.recipes import build, train
from privkd.tracking import CorrelationFilter, CorrelationFilterConfig, StaticBox, benchmark, track, track_all

pytestmark = pytest.mark.proof


@functools.cache
def videos():
    return [sequence for seed in (1, 2) for sequence in moving_sprites(6, seed=seed)]


def success(tracker):
    """Success AUC of each video; names occur once per seed, so that each video is a benchmark of its own."""
    return np.array([benchmark({one.name: track(tracker(), one)}, [one]).mean.auc for one in videos()])


@functools.cache
def ours():
    return success(CorrelationFilter)


def gain(**changes):
    return (ours() - success(lambda: CorrelationFilter(CorrelationFilterConfig(**changes)))).mean()


def test_it_follows_what_a_box_that_never_moves_loses():
    assert ours().mean() >= 0.76
    assert (ours() - success(StaticBox)).mean() >= 0.65


def test_without_a_window_it_follows_the_ground():
    assert gain(window=0.0) >= 0.30


def test_with_one_scale_it_loses_the_size():
    assert gain(scales=1) >= 0.09


def test_on_real_sequences_it_beats_a_box_that_never_moves(shared_file):
    """Three on which no setting was chosen, at least 0.5 in the mean; measured 0.79 against 0.05."""
    folder = shared_file("data/tracking/Crossing/groundtruth_rect.txt").parents[1]
    names = ("Crossing", "ball1", "tir_airplane")
    data = Sequences(
        tuple(one for one in Sequences.read(folder, first_pixel=1) if one.name in names), "three of the real ones"
    )
    found = train(build("correlation-filter"), data).evaluate(data)
    assert found["success_auc"] >= found["static_success_auc"] + 0.5
    static = benchmark(track_all(StaticBox, data), data).mean.auc
    assert found["static_success_auc"] == static < 0.3
