"""Clips are read when they are asked for, sampled and cropped as they should be, and never all at once."""

import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from privkd.data import Clips, FaceCrop, Frames, RandomStart, UniformFrames


def video(frames=12, side=8, channels=3):
    """Frame t has the value 10 t everywhere."""
    return np.broadcast_to(
        (np.arange(frames, dtype=np.uint8) * 10)[:, None, None, None], (frames, side, side, channels)
    ).copy()


def toy(**change):
    fields = {"clips": [video(), video(9), video(12)], "labels": torch.tensor([0, 1, 2]), "videos": ("a", "b", "a")}
    return Clips(**{**fields, "name": "toy", **change})


def shown(clip):
    """The values of the frames of a clip, which tell their positions."""
    return (clip[:, 0, 0, 0] * 255 / 10).round().int().tolist()


class Counting(Frames):
    """Frames that say how often they were decoded."""

    def __init__(self):
        self.decoded = 0

    def __len__(self):
        return 100

    @property
    def shape(self):
        return (8, 8, 3)

    def at(self, positions):
        self.decoded += len(list(positions))
        return np.zeros((len(list(positions)), 8, 8, 3), np.uint8)


def test_a_clip_is_channel_first_and_in_0_to_1():
    item = toy()[1]
    assert (item["clip"].shape, item["clip"].dtype) == ((9, 3, 8, 8), torch.float32)
    assert shown(item["clip"]) == list(range(9))
    assert (int(item["label"]), item["video"]) == (1, "b")
    half = toy(clips=[np.full((2, 4, 4), 0.5, np.float64)] * 3)[0]["clip"]
    assert (half.shape, half.dtype, float(half.max())) == ((2, 1, 4, 4), torch.float32, 0.5)


def test_no_frame_is_decoded_before_it_is_asked_for_and_then_only_those():
    frames = [Counting() for _ in range(3)]
    data = toy(clips=frames).sampled(UniformFrames(4)).take([0, 1])
    data.split(0.5, by="video")
    assert [one.decoded for one in frames] == [0, 0, 0]
    _ = data[0]
    assert [one.decoded for one in frames] == [4, 0, 0]


@given(frames=st.integers(1, 60), count=st.integers(1, 60))
def test_uniform_frames_lie_in_the_middle_of_equal_parts(frames, count):
    if count > frames:
        with pytest.raises(ValueError, match="is shorter than"):
            UniformFrames(count).positions(frames)
        return
    positions = UniformFrames(count).positions(frames)
    assert all(2 * count * at <= (2 * part + 1) * frames < 2 * count * (at + 1) for part, at in enumerate(positions))
    assert positions == sorted(set(positions))


@settings(max_examples=20)
@given(count=st.integers(1, 8), stride=st.integers(1, 5), spare=st.integers(0, 9))
def test_random_starts_reach_both_ends_of_a_clip(count, stride, spare):
    frames = (count - 1) * stride + 1 + spare
    torch.manual_seed(0)
    found = [RandomStart(count, stride).positions(frames) for _ in range(20 * (spare + 1))]
    assert all(np.diff(one).tolist() == [stride] * (count - 1) for one in found)
    # Each end is missed with probability (1 - 1/(spare+1))^(20 (spare+1)) < e^-20.
    assert {one[0] for one in found} >= {0, spare}
    assert max(one[-1] for one in found) == frames - 1
    with pytest.raises(ValueError, match="is shorter than"):
        RandomStart(count, stride).positions(frames - spare - 1)


def test_the_seed_of_a_batch_decides_where_a_clip_starts():
    data = toy().sampled(RandomStart(3))
    starts = []
    for seed in (1, 1, 2, 3, 4):
        torch.manual_seed(seed)
        starts.append(shown(data[0]["clip"])[0])
    assert starts[0] == starts[1]
    assert len(set(starts)) > 1


def test_batches_stack_clips_and_refuse_those_of_different_shapes():
    batch = Clips.collate([toy()[0], toy()[2]])
    assert (batch["clip"].shape, batch["label"].tolist(), batch["video"]) == ((2, 12, 3, 8, 8), [0, 2], ["a", "a"])
    with pytest.raises(ValueError, match="set sampling="):
        Clips.collate([toy()[0], toy()[1]])
    assert "label" not in Clips.collate([toy(labels=None)[0]])


def test_the_box_is_found_once_in_frame_0_and_grows_by_the_margin():
    seen = []

    def cropper(frame):
        seen.append(int(frame.max()))
        return (2.0, 3.0, 2.0, 1.0)

    crop = FaceCrop(cropper, (5, 4), margin=2.0)
    item = toy().cropped(crop).sampled(UniformFrames(3))[0]
    assert item["clip"].shape == (3, 3, 5, 4)
    assert shown(item["clip"]) == [2, 6, 10]
    assert seen == [0]
    assert crop.bounds(video()[0]) == (slice(2, 5), slice(1, 5))  # rows 2.5..4.5, columns 1..5
    assert FaceCrop(lambda _: (-3.0, 6.0, 8.0, 8.0), (5, 4), margin=1.0).bounds(video()[0]) == (
        slice(6, 8),
        slice(0, 5),
    )


@pytest.mark.parametrize(
    ("box", "message"),
    [
        (None, "no face was found"),
        ((0, 0, 0, 5), "both must be above 0"),
        ((0, 0, 5, -5), "both must be above 0"),
        ((float("nan"), 0, 5, 5), "box=nan"),
        ((90, 90, 5, 5), "outside the frame"),
    ],
)
def test_a_box_that_is_none_is_refused_by_the_row_of_its_clip(box, message):
    with pytest.raises(ValueError, match=f"row 2: .*{message}"):
        _ = toy().cropped(FaceCrop(lambda _: box, (5, 4)))[2]


@pytest.mark.parametrize(
    "settings", [{"size": (0, 4)}, {"size": (4, 4), "margin": 0.5}, {"size": (4, 4), "margin": float("nan")}]
)
def test_impossible_crops_are_refused(settings):
    with pytest.raises(ValueError, match=r"size|margin"):
        FaceCrop(lambda _: None, **settings)


@pytest.mark.parametrize(
    "make", [lambda: UniformFrames(0), lambda: RandomStart(0), lambda: RandomStart(2, 0), lambda: RandomStart(2, -1)]
)
def test_impossible_samplings_are_refused(make):
    with pytest.raises(ValueError, match="must be an integer, >= 1"):
        make()


def test_no_video_is_in_both_parts():
    data = toy(clips=[video()] * 6, labels=torch.arange(6), videos=("a", "b", "a", "c", "b", "c"))
    one, two = data.split(0.5, by="video", seed=2)
    assert not set(one.videos) & set(two.videos)
    assert sorted(one.labels.tolist() + two.labels.tolist()) == list(range(6))
    assert one.classes == 6
    with pytest.raises(ValueError, match="'rows' or 'video'"):
        data.split(0.5, by="label")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clips": [], "labels": None, "videos": ()}, "no clips"),
        ({"videos": ("a", "b")}, "2 names for 3 clips"),
        ({"labels": torch.tensor([0, 1])}, "labels.shape"),
        ({"labels": torch.tensor([0, -1, 0])}, "below 0, first in row 1"),
        ({"clips": [video(), np.zeros((0, 8, 8, 3), np.uint8), video()]}, "clip 1: frames of shape"),
        ({"clips": [video(), video(), np.full((3, 8, 8), np.nan)]}, "clip 2: frame 0 has values that are NaN"),
        (
            {"clips": [video(), video(), np.stack([np.zeros((8, 8)), np.full((8, 8), 2.0)])]},
            "clip 2: frame 1 has values",
        ),
        ({"clips": [video(), video().astype(np.int64), video()]}, "clip 1: .*must be uint8"),
        ({"clips": [video(channels=2), video(), video()]}, "clip 0: .*1, 3 or 4"),
    ],
)
def test_impossible_clips_are_refused_by_their_row(change, message):
    with pytest.raises(ValueError, match=message):
        toy(**change)


def test_saved_clips_come_back_and_are_read_frame_by_frame(tmp_path):
    data = toy(class_names=("x", "y", "z"), clips=[video(), video(9), np.full((2, 4, 4), 0.25, np.float32)])
    data.save(tmp_path / "out")
    again = Clips.read(tmp_path / "out")
    assert (again.videos, again.class_names, again.labels.tolist()) == (data.videos, ("x", "y", "z"), [0, 1, 2])
    assert all(torch.equal(data[row]["clip"], again[row]["clip"]) for row in range(3))
    assert shown(again.sampled(UniformFrames(2))[0]["clip"]) == [3, 9]


def test_saved_clips_that_are_damaged_are_refused(tmp_path):
    toy().save(tmp_path / "out")
    clip = tmp_path / "out" / "clips" / "00000001.safetensors"
    whole = clip.read_bytes()
    clip.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match="not a readable"):
        Clips.load(tmp_path / "out")
    clip.write_bytes((tmp_path / "out" / "tensors.safetensors").read_bytes())
    with pytest.raises(ValueError, match="must hold the tensor 'frames' alone"):
        Clips.load(tmp_path / "out")
    clip.unlink()
    with pytest.raises((ValueError, FileNotFoundError), match="00000001"):
        Clips.load(tmp_path / "out")


def images(folder, frames, side=8):
    folder.mkdir(parents=True)
    for number in range(1, frames + 1):
        Image.fromarray(np.full((side, side), 10 * (number - 1), np.uint8)).save(folder / f"{number}.png")


def test_folders_of_classes_with_archives_and_images_are_read(tmp_path):
    images(tmp_path / "real" / "v1", 11)
    (tmp_path / "fake").mkdir()
    np.savez(tmp_path / "fake" / "v2.npz", frames=video())
    data = Clips.read(tmp_path, classes=["real", "fake"])
    assert (data.labels.tolist(), data.videos, data.class_names) == ([1, 0], ("v2", "v1"), ("real", "fake"))
    assert shown(data[0]["clip"]) == list(range(12))
    assert shown(data[1]["clip"]) == list(range(11))  # 10.png after 9.png
    assert data[1]["clip"].shape == (11, 3, 8, 8)
    flat = Clips.read(tmp_path / "fake")
    assert (flat.labels, flat.videos, len(flat[0]["clip"])) == (None, ("v2",), 12)


def test_tables_of_clips_are_read(tmp_path):
    np.savez(tmp_path / "a.npz", frames=video())
    images(tmp_path / "b", 3)
    (tmp_path / "t.csv").write_text("path,label,video\na.npz,1,v\nb,0,v\na.npz,1,w\n")
    data = Clips.read(tmp_path / "t.csv")
    assert (data.labels.tolist(), data.videos, len(data)) == ([1, 0, 1], ("v", "v", "w"), 3)
    (tmp_path / "u.tsv").write_text("path\nb\n")
    assert (Clips.read(tmp_path / "u.tsv").videos, Clips.read(tmp_path / "u.tsv").labels) == (("b",), None)


@pytest.mark.parametrize("name", ["../x.npz", "/x.npz", "a/../../x.npz", "", "absent.npz", "t.csv"])
def test_tables_that_lead_elsewhere_are_refused(tmp_path, name):
    np.savez(tmp_path / "x.npz", frames=video())
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "t.csv").write_text(f"path,label\n{name},0\n")
    with pytest.raises(ValueError, match=r"path in row 0|is missing|is no clip"):
        Clips.read(tmp_path / "in" / "t.csv")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"clip": video()}, "no array 'frames'"),
        ({"frames": np.zeros((2, 3))}, "must be"),
        ({"frames": np.zeros((2, 4, 4), np.int32)}, "must be uint8"),
        ({"frames": np.array([{}])}, "Python objects"),
        ({"frames": np.zeros((0, 4, 4), np.uint8)}, "must be"),
    ],
)
def test_archives_that_are_no_clips_are_refused_before_they_are_unpacked(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        Clips.read(tmp_path)


def test_an_archive_that_would_fill_the_memory_is_refused(tmp_path):
    header = {"descr": "|u1", "fortran_order": False, "shape": (300, 1000, 1000)}
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive, archive.open("frames.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, header)  # states more than there is
    with pytest.raises(ValueError, match="would unfold"):
        Clips.read(tmp_path)


def test_damaged_frames_are_named_by_row_and_frame(tmp_path):
    images(tmp_path / "a", 3)
    images(tmp_path / "b", 3)
    (tmp_path / "b" / "2.png").write_bytes((tmp_path / "b" / "2.png").read_bytes()[:30])
    data = Clips.read(tmp_path)
    assert len(data[0]["clip"]) == 3
    with pytest.raises(ValueError, match="row 1: frame 1 cannot be read"):
        _ = data[1]
    Image.fromarray(np.zeros((9, 8), np.uint8)).save(tmp_path / "b" / "2.png")
    with pytest.raises(ValueError, match="row 1: frame 1 is 8x9, but frame 0 is 8x8"):
        _ = data[1]
    Image.fromarray(np.zeros((8, 8, 4), np.uint8)).save(tmp_path / "b" / "2.png")
    with pytest.raises(ValueError, match="transparency"):
        _ = data[1]


def test_sources_without_clips_are_refused(tmp_path):
    with pytest.raises(ValueError, match="has no clips"):
        Clips.read(tmp_path)
    with pytest.raises(FileNotFoundError):
        Clips.read(tmp_path / "absent")
    (tmp_path / "a.mp4").write_bytes(b"x")
    with pytest.raises(ValueError, match="no folder of clips and no table"):
        Clips.read(tmp_path / "a.mp4")
    with pytest.raises(ValueError, match="neither a clip"):
        Clips.read(tmp_path)
