"""What trackers answer is checked where they answer, and their runs over sequences survive stops and name what fails."""

import math

import numpy as np
import pytest

from privkd.data import Sequence, Sequences
from privkd.data.kinds.sequence import SequenceError
from privkd.data.procedural import SpriteScene, moving_sprites
from privkd.metrics import frames_per_second, score_sequence
from privkd.tracking import StaticBox, TrackerError, TrackResult, benchmark, track, track_all

BOX = np.array([2.0, 3.0, 4.0, 5.0])


def toy(name="toy", frames=5, **beside):
    boxes = np.tile(BOX, (frames, 1)) + np.arange(frames)[:, None] * [1.0, 0, 0, 0]
    return Sequence.of(name, np.zeros((frames, 16, 16, 3), np.uint8), boxes, **beside)


class Recorded:
    """A tracker that gives what it was given for each frame; an exception among the answers is raised."""

    def __init__(self, answers):
        self.answers, self.begun = list(answers), []

    def init(self, frame, box, language=None):
        self.begun.append((frame.shape, box.tolist(), language))

    def update(self, frame):
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ((BOX.astype(np.float32), 0.0), TypeError, "float64"),
        (([1.0, 2.0, 3.0, 4.0], 0.0), TypeError, "box"),
        ((np.zeros(3), 0.0), ValueError, r"\(4,\)"),
        ((np.array([0.0, 0.0, 0.0, 4.0]), 0.0), ValueError, "above 0"),
        ((np.array([np.nan, 0.0, 3.0, 4.0]), 0.0), ValueError, "finite"),
        ((BOX, math.nan), ValueError, "score is NaN"),
        ((None, 0.0), ValueError, "needs a box"),
    ],
)
def test_answers_that_are_no_boxes_are_refused(given, error, words):
    with pytest.raises(error, match=words):
        TrackResult(*given)


def test_the_first_box_is_the_true_one_and_absence_becomes_a_box_of_zeros():
    answers = [
        TrackResult(BOX, 1.0),
        TrackResult(None, 0.0, False),
        TrackResult(BOX, 0.1, False),
        TrackResult(BOX, 1.0),
    ]
    tracker, sequence = Recorded(answers), toy(language="the toy")
    found = track(tracker, sequence)
    assert found.boxes.tolist() == [BOX.tolist(), BOX.tolist(), [0] * 4, [0] * 4, BOX.tolist()]
    assert found.visible.tolist() == [True, True, False, False, True]
    assert tracker.begun == [((16, 16, 3), BOX.tolist(), "the toy")]


def test_a_tracker_that_writes_into_its_first_box_does_not_change_the_truth():
    class Greedy(StaticBox):
        def init(self, frame, box, language=None):
            super().init(frame, box)
            box += 100

    sequence = toy()
    assert track(Greedy(), sequence).boxes[0].tolist() == BOX.tolist()
    assert sequence.boxes[0].tolist() == BOX.tolist()


def test_speed_is_that_of_update_alone(monkeypatch):
    clock = iter([0.0, 9.0, 10.0, 10.5, 20.0, 20.5, 30.0, 30.5, 40.0, 40.5])
    monkeypatch.setattr("privkd.tracking.one_pass.time.perf_counter", lambda: next(clock))
    found = track(StaticBox(), toy())
    assert found.seconds.tolist() == [9.0, 0.5, 0.5, 0.5, 0.5]
    assert frames_per_second(found.seconds) == 2.0


@pytest.mark.parametrize("answer", [RuntimeError("out of memory"), BOX, None, (BOX, 1.0)])
def test_a_tracker_that_fails_or_answers_something_else_is_named_with_sequence_and_frame(answer):
    with pytest.raises(TrackerError, match=r"sequence 'toy', frame 2 \(counted from 0\)") as raised:
        track(Recorded([TrackResult(BOX, 1.0), answer]), toy())
    assert (raised.value.sequence, raised.value.frame) == ("toy", 2)


def test_a_tracker_that_fails_to_begin_is_named_with_frame_0():
    class Late(StaticBox):
        def init(self, frame, box, language=None):
            raise KeyError("weights")

    with pytest.raises(TrackerError, match=r"frame 0 .*KeyError: 'weights'"):
        track(Late(), toy())


def test_a_sequence_that_starts_empty_is_refused():
    empty = toy(visible=np.array([False, True, True, True, True]), starts_empty=True)
    with pytest.raises(SequenceError, match="trackers begin there"):
        track(StaticBox(), empty)


def test_a_run_that_was_stopped_goes_on_and_ends_as_one_that_was_not(tmp_path):
    data = moving_sprites(3, SpriteScene(frames=6))
    made = []

    def factory():
        made.append(None)
        return StaticBox() if len(made) != 2 else Recorded([TrackResult(BOX, 0.0), KeyboardInterrupt()])

    with pytest.raises(KeyboardInterrupt):
        track_all(factory, data, folder=tmp_path / "cut")
    ended = track_all(factory, data, folder=tmp_path / "cut")
    assert len(made) == 4, "the first sequence was not run again"
    whole = track_all(StaticBox, data, folder=tmp_path / "whole")
    assert list(ended) == list(whole) == data.names
    for name in whole:
        assert np.array_equal(ended[name].boxes, whole[name].boxes)
    assert track_all(lambda: pytest.fail("made a tracker"), data, folder=tmp_path / "cut").keys() == whole.keys()


def test_boxes_without_times_were_cut_off_and_are_made_again(tmp_path):
    data = [toy()]
    track_all(StaticBox, data, folder=tmp_path)
    (tmp_path / "times" / "toy_time.txt").unlink()
    assert track_all(StaticBox, data, folder=tmp_path)["toy"].seconds is not None


def test_results_of_other_data_are_refused(tmp_path):
    track_all(StaticBox, [toy()], folder=tmp_path)
    moved = Sequence.of("toy", np.zeros((5, 16, 16, 3), np.uint8), np.tile(BOX + 1, (5, 1)))
    with pytest.raises(SequenceError, match="begins with another box"):
        track_all(StaticBox, [moved], folder=tmp_path)
    with pytest.raises(SequenceError, match="its result has 5 boxes"):
        track_all(StaticBox, [toy(frames=4)], folder=tmp_path)


def test_a_benchmark_is_the_mean_of_its_sequences_and_of_those_with_an_attribute():
    data = Sequences((toy("a"), toy("b", attributes={"fast": 1, "dark": 0}), toy("c", attributes={"fast": 1})), "toys")
    answers = {
        "a": [TrackResult(box, 1.0) for box in data[0].boxes[1:]],
        "b": [TrackResult(BOX, 1.0)] * 4,
        "c": [TrackResult(BOX + 9, 1.0)] * 4,
    }
    results = {one.name: track(Recorded(answers[one.name]), one) for one in data}
    found = benchmark(results, data)
    alone = {one.name: score_sequence(results[one.name].boxes, one.boxes).auc for one in data}
    assert {name: scores.auc for name, scores in found.sequences.items()} == alone
    assert found.mean.auc == pytest.approx(sum(alone.values()) / 3, abs=1e-12)
    assert found.attributes.keys() == {"fast"}
    assert found.attributes["fast"].auc == pytest.approx((alone["b"] + alone["c"]) / 2, abs=1e-12)
    assert alone["a"] == pytest.approx(20 / 21)  # no IoU is above 1
    assert found.frames_per_second is not None
    assert found.frames_per_second > 0


def test_a_benchmark_needs_a_result_of_each_sequence_and_of_its_length():
    results = {"toy": track(StaticBox(), toy())}
    with pytest.raises(SequenceError, match="there is no result"):
        benchmark(results, [toy(), toy("other")])
    with pytest.raises(SequenceError, match="5 boxes, but it has 4 frames"):
        benchmark(results, [toy(frames=4)])
    with pytest.raises(ValueError, match="at least one"):
        benchmark(results, [])
