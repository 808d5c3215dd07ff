"""Tracking sequences are read in the styles of their data sets; what is wrong is named by sequence and frame."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from privkd.data import ArrayFrames, Sequence, SequenceError, SequenceResult, Sequences

BOXES = np.array([[1.0, 2, 3, 4], [2, 2, 3, 4], [0, 0, 0, 0]])


def video(frames=3, side=8):
    return np.arange(frames, dtype=np.uint8)[:, None, None, None] + np.zeros((frames, side, side, 3), np.uint8)


def toy(name="toy", **change):
    return Sequence.of(**{"name": name, "frames": video(), "boxes": BOXES, **change})


def test_a_target_is_visible_where_its_box_is_not_empty_or_where_it_is_said():
    assert toy().visible.tolist() == [True, True, False]
    hidden = toy(visible=np.array([True, False, False]))
    assert hidden.visible.tolist() == [True, False, False]
    assert hidden.boxes[1].tolist() == [2, 2, 3, 4]


@pytest.mark.parametrize(
    ("change", "frame", "message"),
    [
        ({"boxes": BOXES[:2]}, None, "2 boxes for 3 frames"),
        ({"boxes": BOXES[:, :3].copy()}, None, "must be"),
        ({"boxes": np.where(np.arange(12).reshape(3, 4) == 6, np.nan, BOXES)}, 1, "NaN or infinite"),
        ({"boxes": np.where(np.arange(12).reshape(3, 4) == 6, np.inf, BOXES)}, 1, "NaN or infinite"),
        ({"boxes": BOXES * [1, 1, -1, 1]}, 0, "negative width"),
        ({"boxes": BOXES[::-1].copy()}, 0, "absent, but trackers begin there"),
        ({"visible": np.array([False, True, False])}, 0, "absent, but trackers begin there"),
        ({"visible": np.array([True, True, True])}, 2, "visible, but its box is empty"),
        ({"visible": np.array([True, True])}, None, "visible.shape"),
        ({"scenario": np.zeros((3, 6))}, None, "scenario.shape"),
        ({"scenario": np.array([[0.0] * 7, [np.nan] * 7, [0] * 7])}, 1, "scenario is NaN"),
        ({"speed": np.zeros(2)}, None, "speed.shape"),
        ({"masks": video(2)[..., :1]}, None, "2 masks for 3 frames"),
        ({"language": " "}, None, "language is empty"),
        ({"frames": video()[0]}, None, "boxes for 8 frames"),
        ({"frames": video().astype(np.int64)}, None, "must be uint8"),
    ],
)
def test_impossible_sequences_are_refused_by_name_and_frame(change, frame, message):
    with pytest.raises(SequenceError, match=message) as caught:
        toy(**change)
    assert (caught.value.sequence, caught.value.frame) == ("toy", frame)
    assert frame is None or f"sequence 'toy', frame {frame} " in str(caught.value)


def test_protocols_without_a_first_box_may_start_empty():
    late = toy(boxes=BOXES[::-1].copy(), starts_empty=True)
    assert late.visible.tolist() == [False, True, True]


def test_nothing_is_cast():
    for change in (
        {"boxes": BOXES.astype(np.float32)},
        {"visible": np.array([1, 1, 0])},
        {"language": 5},
        {"attributes": {"a": 0.5}},
    ):
        with pytest.raises(TypeError):
            toy(**change)


@pytest.mark.parametrize("name", ["", "../a", "a/b", ".a", "a\\b", "a\x00", "a" * 200, "a\n", "a "])
def test_names_that_could_leave_a_folder_are_refused(name):
    with pytest.raises(SequenceError, match="a name must be"):
        toy(name)
    with pytest.raises(SequenceError, match="a name must be"):
        SequenceResult.read("anywhere", name)


def test_a_set_is_a_list_with_names():
    data = Sequences((toy("a"), toy("b"), toy("c")), "toys")
    assert ([one.name for one in data], data[1].name, data.sequence("c").name, len(data)) == (
        ["a", "b", "c"],
        "b",
        "c",
        3,
    )
    assert data.take([2, 0]).names == ["c", "a"]
    one, two = data.split(0.34, seed=0)
    assert sorted(one.names + two.names) == ["a", "b", "c"]
    with pytest.raises(KeyError, match="no sequence 'd'"):
        data.sequence("d")
    with pytest.raises(ValueError, match="twice"):
        data.take([0, 0])
    with pytest.raises(ValueError, match="are empty"):
        Sequences((), "none")
    with pytest.raises(ValueError, match="'rows' only"):
        data.split(0.5, by="video")


def images(folder, frames=3, suffix="png", side=8):
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, frames + 1):
        Image.fromarray(np.full((side, side), number, np.uint8)).save(folder / f"{number:04d}.{suffix}")
    return folder


def otb(folder, text="2,3,3,4\n3,3,3,4\n0,0,0,0\n", frames="img", **beside):
    images(folder / frames)
    (folder / "groundtruth_rect.txt").write_text(text)
    for name, content in beside.items():
        (folder / f"{name}.txt").write_text(content)
    return folder


@pytest.mark.parametrize("frames", ["img", "imgs"])
@pytest.mark.parametrize("separator", [",", " ", "\t", ", "])
def test_the_style_of_otb_and_mmot_with_all_that_may_lie_beside(tmp_path, frames, separator):
    text = "2,3,3,4\n3,3,3,4\n0,0,0,0\n\n".replace(",", separator)
    scenario = "\n".join([separator.join("1234567")] * 3)
    beside = {"language": "a red ball\n", "absent": "0\n0\n1\n", "attributes": "1,0,2", "scenario": scenario}
    otb(tmp_path / "ball", text, frames, **beside, relative_speed="0.1\n0.2\n0.3\n")
    data = Sequences.read(tmp_path, first_pixel=1, attribute_names=("small", "fast", "size"))
    (ball,) = data
    assert (data.names, data.name) == (["ball"], tmp_path.name)
    assert np.array_equal(ball.boxes, BOXES)
    assert (ball.language, ball.visible.tolist()) == ("a red ball", [True, True, False])
    assert (ball.attributes, ball.scenario.shape) == ({"small": 1, "fast": 0, "size": 2}, (3, 7))
    assert ball.speed.tolist() == [0.1, 0.2, 0.3]
    assert [int(frame[0, 0, 0]) for frame in ball.frames] == [1, 2, 3]
    assert ball.frames[0].shape == (8, 8, 3)


def test_a_single_sequence_and_one_with_two_targets_are_read(tmp_path):
    folder = otb(tmp_path / "jogging", **{"groundtruth_rect.2": "5,5,1,1\n" * 3, "language.2": "the other one"})
    (folder / "groundtruth_rect.txt").rename(folder / "groundtruth_rect.1.txt")
    data = Sequences.read(folder)
    assert data.names == ["jogging.1", "jogging.2"]
    assert (data[1].boxes[0].tolist(), data[1].language, data[0].language) == ([5, 5, 1, 1], "the other one", None)


def test_the_style_of_got10k(tmp_path):
    images(tmp_path / "GOT-10k_Train_1", suffix="jpg")
    (tmp_path / "GOT-10k_Train_1" / "groundtruth.txt").write_text("2.0,3.0,3.0,4.0\n" * 3)
    (tmp_path / "GOT-10k_Train_1" / "absence.label").write_text("0\n1\n0\n")
    (tmp_path / "GOT-10k_Train_1" / "meta_info.ini").write_text("[METAINFO]\n")
    assert Sequences.read(tmp_path)[0].visible.tolist() == [True, False, True]


def test_the_style_of_lasot(tmp_path):
    folder = tmp_path / "airplane" / "airplane-1"
    images(folder / "img", suffix="jpg")
    for name, text in {
        "groundtruth": "2,3,3,4\n" * 3,
        "full_occlusion": "0,1,0",
        "out_of_view": "0,0,1",
        "nlp": "a plane",
    }.items():
        (folder / f"{name}.txt").write_text(text)
    (plane,) = Sequences.read(tmp_path)
    assert (plane.name, plane.visible.tolist(), plane.language) == ("airplane-1", [True, False, False], "a plane")


def anti_uav(folder, **label):
    images(folder / "infrared", suffix="jpg")
    (folder / "IR_label.json").write_text(json.dumps({"exist": [1, 0, 0], "gt_rect": [[1, 2, 3, 4], [], [0]], **label}))
    return folder


def test_the_style_of_anti_uav(tmp_path):
    (one,) = Sequences.read(anti_uav(tmp_path / "20190925_1"))
    assert (one.modality, one.visible.tolist(), one.boxes.tolist()) == (
        "tir",
        [True, False, False],
        [[1, 2, 3, 4], [0] * 4, [0] * 4],
    )


@pytest.mark.parametrize(
    ("label", "frame", "message"),
    [
        ({"exist": [1, 0]}, None, "of one length"),
        ({"exist": "110"}, None, "must have the lists"),
        ({"exist": [1, 2, 0]}, 1, "exist must hold 0 and 1"),
        ({"exist": [1, True, 0]}, 1, "exist must hold 0 and 1"),
        ({"gt_rect": [[1, 2, 3, 4], [1, 2, 3], []]}, 1, "lists of 4 numbers"),
        ({"gt_rect": [[1, 2, 3, 4], ["1", 2, 3, 4], []]}, 1, "lists of 4 numbers"),
        ({"gt_rect": [[1, 2, 3, -4], [], []]}, 0, "negative width or height"),
        ({"exist": [1, 1, 0]}, 1, "visible, but its box is empty"),
        ({"exist": [1, 0], "gt_rect": [[1, 2, 3, 4], []]}, None, "2 boxes for 3 frames"),
        ({"exist": [0, 0, 0]}, 0, "trackers begin there"),
    ],
)
def test_labels_that_are_not_those_of_anti_uav_are_refused(tmp_path, label, frame, message):
    with pytest.raises(SequenceError, match=message) as caught:
        Sequences.read(anti_uav(tmp_path / "uav", **label))
    assert (caught.value.sequence, caught.value.frame) == ("uav", frame)


def test_track_2_of_anti_uav_may_start_empty(tmp_path):
    folder = anti_uav(tmp_path / "uav", exist=[0, 1, 0], gt_rect=[[], [1, 2, 3, 4], []])
    assert Sequences.read(folder, starts_empty=True)[0].visible.tolist() == [False, True, False]


@pytest.mark.parametrize("text", ['{"exist": [NaN]}', "{", '{"exist": [1], "exist": [1]}', "[" * 2000])
def test_json_that_is_not_strict_is_refused(tmp_path, text):
    folder = anti_uav(tmp_path / "uav")
    (folder / "IR_label.json").write_text(text)
    with pytest.raises(SequenceError, match="sequence 'uav'"):
        Sequences.read(folder)


@pytest.mark.parametrize(
    ("text", "beside", "frame", "message"),
    [
        ("1,2,3,4\n1,2,3,4\n", {}, None, "2 boxes for 3 frames"),
        ("1,2,3,4\n1,2,3\n1,2,3,4\n", {}, 1, "must have 4 numbers in each line; here it has 3"),
        ("1,2,3,4\n\n1,2,3,4\n", {}, 1, "here it has 0"),
        ("1,2,3,4\n1,two,3,4\n1,2,3,4\n", {}, 1, "no number"),
        ("1,2,3,4\n1,2,nan,4\n1,2,3,4\n", {}, 1, "NaN or infinite"),
        ("1,2,3,4\n1,2,1e999,4\n1,2,3,4\n", {}, 1, "NaN or infinite"),
        ("1,2,3,4\n1,2,3,-4\n1,2,3,4\n", {}, 1, "negative width or height"),
        ("0,0,0,0\n1,2,3,4\n1,2,3,4\n", {}, 0, "trackers begin there"),
        ("1,2,3,4\n" * 3, {"absent": "0\n1\n"}, None, "absent.txt has 2 flags for 3 frames"),
        ("1,2,3,4\n" * 3, {"absent": "0\n2\n0\n"}, 1, "absent.txt must hold 0 and 1"),
        ("1,2,3,4\n" * 3, {"absent": "1\n0\n0\n"}, 0, "trackers begin there"),
        ("1,2,3,4\n" * 3, {"attributes": "1,0.5"}, None, "attributes.txt must hold whole numbers"),
        ("1,2,3,4\n" * 3, {"attributes": "1,inf"}, None, "attributes.txt must hold whole numbers"),
        ("1,2,3,4\n" * 3, {"scenario": "1,2,3,4,5,6,7\n" * 2}, None, r"scenario.shape=\(2, 7\)"),
        ("1,2,3,4\n" * 3, {"relative_speed": "1\nx\n2\n"}, 1, "relative_speed.txt has no number"),
        ("1,2,3,4\n" * 3, {"language": "\n"}, None, "language is empty"),
    ],
)
def test_files_that_are_wrong_are_named_with_sequence_and_frame(tmp_path, text, beside, frame, message):
    otb(tmp_path / "ball", text, **beside)
    with pytest.raises(SequenceError, match=message) as caught:
        Sequences.read(tmp_path)
    assert (caught.value.sequence, caught.value.frame) == ("ball", frame)


def test_frames_that_cannot_be_read_are_named_when_they_are_asked_for(tmp_path):
    folder = otb(tmp_path / "ball")
    path = folder / "img" / "0002.png"
    path.write_bytes(path.read_bytes()[:40])
    (ball,) = Sequences.read(tmp_path)
    assert ball.frames[0].shape == (8, 8, 3)
    with pytest.raises(ValueError, match="frame 1 cannot be read"):
        _ = ball.frames[1]
    with pytest.raises(IndexError, match="frames 0 to 2"):
        _ = ball.frames[3]


def test_folders_without_frames_or_with_two_kinds_of_them_are_refused(tmp_path):
    folder = otb(tmp_path / "ball")
    images(folder / "imgs")
    with pytest.raises(SequenceError, match="both img/ and imgs/"):
        Sequences.read(tmp_path)
    uav = tmp_path / "sets" / "uav"
    anti_uav(uav)
    for path in (uav / "infrared").iterdir():
        path.unlink()
    (uav / "infrared").rmdir()
    (uav / "infrared.mp4").write_bytes(b"x")
    with pytest.raises(SequenceError, match="a video file has to be taken apart"):
        Sequences.read(tmp_path / "sets")


def test_sources_without_sequences_are_refused(tmp_path):
    with pytest.raises(ValueError, match="has no sequences"):
        Sequences.read(tmp_path)
    with pytest.raises(FileNotFoundError):
        Sequences.read(tmp_path / "absent")
    with pytest.raises(ValueError, match="no folder of sequences"):
        Sequences.read(__file__)
    with pytest.raises(ValueError, match="first_pixel=2"):
        Sequences.read(tmp_path, first_pixel=2)


def test_a_saved_set_comes_back_with_its_frames_as_they_were(tmp_path):
    otb(tmp_path / "set" / "ball", language="a ball")
    read = Sequences.read(tmp_path / "set")
    more = {
        "scenario": np.ones((3, 7)),
        "speed": np.array([0.0, 1, 2]),
        "masks": video()[..., :1] * 255,
        "attributes": {"fast": 1},
    }
    data = Sequences((read[0], toy("b", **more, modality="tir", fps=25.0)), "toys")
    data.save(tmp_path / "out")
    again = Sequences.read(tmp_path / "out")
    assert (again.name, again.names, again[0].language) == ("toys", ["ball", "b"], "a ball")
    assert (again[1].attributes, again[1].modality, again[1].fps) == ({"fast": 1}, "tir", 25.0)
    for one, two in zip(data, again, strict=True):
        assert np.array_equal(one.frames.at([0, 1, 2]), two.frames.at([0, 1, 2]))
        assert all(np.array_equal(getattr(one, role), getattr(two, role)) for role in ("boxes", "visible"))
    assert np.array_equal(again[1].scenario, more["scenario"])
    assert np.array_equal(again[1].masks[2][..., :1] > 0, more["masks"][2] > 0)
    saved = tmp_path / "out" / "000000" / "frames" / "00000001.png"
    assert saved.read_bytes() == (tmp_path / "set" / "ball" / "img" / "0002.png").read_bytes()


def test_a_saved_set_that_is_damaged_is_refused(tmp_path):
    def damaged(damage):
        Sequences((toy(),), "toys").save(tmp_path / "out")
        damage(tmp_path / "out" / "000000")
        return pytest.raises(ValueError, match=r"missing|boxes for|must have|readable|must list")

    with damaged(lambda folder: (folder / "frames" / "00000002.png").unlink()):
        Sequences.load(tmp_path / "out")
    with damaged(lambda folder: (folder / "track.safetensors").write_bytes(b"x")):
        Sequences.load(tmp_path / "out")
    with damaged(lambda folder: (folder / "frames").rename(folder / "other")):
        Sequences.load(tmp_path / "out")
    for change in ({"masked": []}, {"masked": [1]}, {"sequences": [{"name": "toy"}]}, {"sequences": {}}):
        with damaged(lambda folder, change=change: rewrite(folder.parent, change)):
            Sequences.load(tmp_path / "out")


def rewrite(folder, change):
    found = json.loads((folder / "data.json").read_text())
    (folder / "data.json").write_text(json.dumps(found | change))


def test_frames_that_no_image_file_holds_are_not_saved(tmp_path):
    data = Sequences((toy(frames=np.full((3, 4, 4), 0.5)),), "toys")
    with pytest.raises(SequenceError, match="have no image file"):
        data.save(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_results_come_back_to_three_decimals(tmp_path):
    boxes = np.array([[1.23456, -2, 3, 4.0004], [0, 0, 0, 0]])
    SequenceResult("toy", boxes, np.array([0.5, 0.25])).write(tmp_path / "mine")
    assert (tmp_path / "mine" / "toy.txt").read_text() == "1.235,-2.000,3.000,4.000\n0.000,0.000,0.000,0.000\n"
    again = SequenceResult.read(tmp_path / "mine", "toy", frames=2)
    assert np.abs(again.boxes - boxes).max() <= 0.0005
    assert (again.visible.tolist(), again.seconds.tolist()) == ([True, False], [0.5, 0.25])
    SequenceResult("bare", boxes).write(tmp_path / "mine")
    assert SequenceResult.read(tmp_path / "mine", "bare").seconds is None


def test_results_that_do_not_fit_are_refused(tmp_path):
    boxes = np.array([[1.0, 2, 3, 4]])
    SequenceResult("toy", boxes).write(tmp_path)
    with pytest.raises(SequenceError, match="1 boxes, but it has 2 frames"):
        SequenceResult.read(tmp_path, "toy", frames=2)
    with pytest.raises(FileNotFoundError):
        SequenceResult.read(tmp_path, "absent")
    for bad, message in (
        (lambda: SequenceResult("toy", boxes * np.nan), "NaN"),
        (lambda: SequenceResult("toy", -boxes), "negative width"),
        (lambda: SequenceResult("toy", boxes[:0]), "no frames"),
        (lambda: SequenceResult("toy", boxes, np.array([-1.0])), "seconds is negative"),
        (lambda: SequenceResult("toy", boxes, np.zeros(2)), "seconds.shape"),
        (lambda: SequenceResult("toy", boxes / 1e5).write(tmp_path), "rounds to zeros"),
    ):
        with pytest.raises(SequenceError, match=message):
            bad()
    (tmp_path / "toy.txt").write_text("1,2,3\n")
    with pytest.raises(SequenceError, match="here it has 3"):
        SequenceResult.read(tmp_path, "toy")


def test_frames_in_memory_are_looked_at_as_they_are():
    frames = ArrayFrames(video())
    assert (len(frames), frames.shape, [int(frame.max()) for frame in frames]) == (3, (8, 8, 3), [0, 1, 2])
    assert frames.at([2, 0])[:, 0, 0, 0].tolist() == [2, 0]
    with pytest.raises(IndexError):
        frames.at([-1])


def test_real_sequences_begin_on_their_targets(shared_file):
    root = shared_file("data/tracking/Car4/language.txt").parents[1]
    data = Sequences.read(root, first_pixel=1)
    assert (len(data), sum(map(len, data))) == (12, 1342)
    for one in data:
        height, width, _ = one.frames.shape
        x, y, w, h = one.boxes[0]
        assert x >= 0
        assert y >= 0
        assert x + w <= width
        assert y + h <= height
        assert one.language
    assert torch.from_numpy(data.sequence("Car4").boxes[0]).tolist() == [69, 50, 107, 87]
