"""Image folders: classes are sub-folders, nothing is resized, converted or left out."""

import numpy as np
import pytest
import torch
from PIL import Image

from privkd.data import load


def picture(mode: str = "RGB", size: tuple[int, int] = (5, 3), seed: int = 0) -> Image.Image:
    """A noise image; size is (width, height) as in Pillow."""
    shape = (size[1], size[0], len(mode)) if len(mode) > 1 else (size[1], size[0])
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def fill(folder, files):
    for name, image in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(folder / name)
    return folder


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("RGBA", 4)])
def test_images_become_channel_first_and_keep_every_pixel(mode, channels, tmp_path):
    image = picture(mode)
    records = load(fill(tmp_path, {"a/0.png": image}), classes="found")
    assert records.shape == (channels, 3, 5)
    for row in range(3):
        for column in range(5):
            slow = torch.tensor(np.atleast_1d(image.getpixel((column, row)))).float() / 255
            assert torch.equal(records.inputs[0, :, row, column], slow)


def test_classes_are_the_sorted_names_of_the_sub_folders(tmp_path):
    files = {f"{name}/0.png": picture(seed=seed) for seed, name in enumerate(["zebra", "ant", "Bee"])}
    records = load(fill(tmp_path / "zoo", files), classes="found")
    assert records.class_names == ("Bee", "ant", "zebra")
    assert records.name == "zoo"
    assert records.labels.tolist() == [0, 1, 2]
    bee = load(fill(tmp_path / "one", {"bee/0.png": picture(seed=2)}), classes="found")
    assert torch.equal(records.inputs[0], bee.inputs[0])


def test_a_flat_folder_is_unlabelled_in_the_order_of_names(tmp_path):
    records = load(fill(tmp_path, {"b.png": picture(seed=1), "a.png": picture(seed=0)}))
    assert records.labels is None
    assert records.class_names is None
    assert records.inputs[0, 0, 0, 0] == np.float32(picture(seed=0).getpixel((0, 0))[0]) / np.float32(255)


def test_jpeg_and_bmp_are_read_and_dot_files_are_skipped(tmp_path):
    fill(tmp_path, {"a/0.jpg": picture(), "a/1.JPEG": picture(), "a/2.bmp": picture()})
    (tmp_path / "a" / ".DS_Store").write_bytes(b"x")
    (tmp_path / ".cache").mkdir()
    assert len(load(tmp_path, classes="found")) == 3


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (picture(size=(5, 4)), r"0\.png is 5x3 pixels RGB but .*1\.png is 5x4 pixels RGB"),
        (picture(size=(3, 5)), r"is 5x3 pixels RGB but .*1\.png is 3x5"),
        (
            picture("RGBA"),
            r"0\.png is 5x3 pixels RGB but .*1\.png is 5x3 pixels RGBA.*none is resized or converted",
        ),
        (picture("L"), r"1\.png is 5x3 pixels L"),
    ],
)
def test_images_that_differ_are_refused_by_name(other, message, tmp_path):
    fill(tmp_path, {"a/0.png": picture(), "b/1.png": other})
    with pytest.raises(ValueError, match=message):
        load(tmp_path)


@pytest.mark.parametrize("mode", ["P", "1", "I;16", "LA"])
def test_modes_whose_values_are_no_plain_brightness_are_refused(mode, tmp_path):
    fill(tmp_path, {"a/0.png": picture("L").convert(mode)})
    with pytest.raises(ValueError, match=rf"0\.png has mode '{mode}'; L, RGB, RGBA are read"):
        load(tmp_path)


def test_a_damaged_image_is_named(tmp_path):
    fill(tmp_path, {"a/0.png": picture(), "a/1.png": picture()})
    content = (tmp_path / "a/1.png").read_bytes()
    for broken in (b"", b"hello", content[: len(content) // 2]):
        (tmp_path / "a/1.png").write_bytes(broken)
        with pytest.raises(ValueError, match=r"1\.png cannot be read as an image"):
            load(tmp_path)


def test_other_files_are_refused_because_they_might_be_images(tmp_path):
    fill(tmp_path, {"a/0.png": picture(), "a/1.gif": picture()})
    with pytest.raises(ValueError, match=r"1\.gif is not an image; \.png"):
        load(tmp_path)


def test_unclear_layouts_are_refused(tmp_path):
    fill(tmp_path / "mixed", {"a/0.png": picture(), "0.png": picture()})
    fill(tmp_path / "deep", {"a/b/0.png": picture()})
    fill(tmp_path / "hole", {"a/0.png": picture()})
    (tmp_path / "hole" / "empty").mkdir()
    (tmp_path / "nothing").mkdir()
    for name, message in (
        ("mixed", r"both sub-folders \(a\) and files \(0.png\)"),
        ("deep", "folder inside a class folder"),
        ("hole", "empty has no images"),
        ("nothing", "nothing has no images"),
    ):
        with pytest.raises(ValueError, match=message):
            load(tmp_path / name)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_the_orientation_that_a_camera_wrote_is_applied(suffix, tmp_path):
    upright = picture("L", size=(16, 8))
    lying = upright.transpose(Image.Transpose.ROTATE_90)  # the camera was turned: orientation 6 says "turn right"
    exif = Image.Exif()
    exif[0x0112] = 6
    lying.save(tmp_path / f"lying{suffix}", exif=exif, **({"quality": 100} if suffix == ".jpg" else {}))
    found = load(tmp_path)
    assert found.shape == (1, 8, 16)
    wanted = torch.tensor(np.asarray(upright)).float() / 255
    assert torch.allclose(found.inputs[0, 0], wanted, atol=0.05 if suffix == ".jpg" else 0)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("block", [b"Exif\x00\x00garbage", b"Exif\x00\x00II*\x00\xff\xff\xff\xff", b""])
def test_a_damaged_orientation_is_none(block, tmp_path):
    picture("L").save(tmp_path / "a.jpg", exif=block)
    assert load(tmp_path).shape == (1, 3, 5)
