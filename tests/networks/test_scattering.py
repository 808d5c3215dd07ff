"""Scattering features: the published values, the definition written out, and what a module must be."""

import cmath
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from privkd.networks.scattering import Scattering
from privkd.networks.scattering import scattering as module

FLOAT32 = 1e-5  # features are below 1 and pass three transforms of a thousand float32 terms


def picture(rows: int = 28, columns: int = 28) -> torch.Tensor:
    """A fixed image without symmetry, shape (1, 1, rows, columns)."""
    u, v = torch.arange(float(rows)), torch.arange(float(columns))
    return (torch.outer(torch.sin(0.9 * u), torch.cos(0.5 * v)) + torch.outer(u, v) / 784)[None, None]


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


# Values of kymatio 0.3.0, ScatteringTorch2D(J=2, shape=(28, 28)), for `picture()`: (path, row, column) -> value.
PUBLISHED = {
    (0, 0, 0): 0.418044657,
    (0, 3, 5): 0.518065631,
    (1, 2, 2): 0.049952853,
    (4, 6, 1): 0.073659249,
    (8, 3, 3): 0.018648896,
    (9, 0, 6): 0.068961881,
    (16, 5, 4): 0.016966257,
    (17, 3, 3): 0.000354764,
    (40, 2, 5): 0.011927724,
    (63, 4, 0): 0.002044301,
    (80, 6, 6): 0.004586466,
}


def test_values_are_the_published_ones():
    features = Scattering()(picture())[0]
    for place, value in PUBLISHED.items():
        assert features[place].item() == pytest.approx(value, abs=1e-6)
    assert features.double().sum().item() == pytest.approx(93.2384, abs=1e-3)
    assert features.double().square().sum().item() == pytest.approx(14.2295, abs=1e-3)


def test_a_transform_with_another_scale_or_other_angles_misses_the_published_values():
    for other in (Scattering(J=1), Scattering(angles=7)):
        features = other(picture())[0]
        assert abs(features[1, 2, 2].item() - PUBLISHED[1, 2, 2]) > 1e-3


@pytest.mark.parametrize(
    ("shape", "order", "J", "angles"),
    [((28, 28), 2, 2, 8), ((32, 32), 2, 2, 8), ((28, 28), 1, 2, 8), ((29, 37), 2, 2, 8), ((33, 32), 2, 3, 5)],
)
def test_equals_the_package_that_published_it(shape, order, J, angles):
    name = "kymatio.scattering2d.frontend.torch_frontend"
    reference = pytest.importorskip(name, reason="kymatio 0.3.0 is not installed", exc_type=ImportError)
    images = noise(3, 2, *shape)
    theirs = reference.ScatteringTorch2D(J=J, shape=shape, L=angles, max_order=order)(images)
    ours = Scattering(shape, order=order, J=J, angles=angles)(images)
    torch.testing.assert_close(ours, theirs.flatten(1, 2), atol=FLOAT32, rtol=0)


def wavelet(rows: int, columns: int, scale: int, angle: float, slant: float) -> np.ndarray:
    """The Morlet wavelet in space, one pixel at a time, summed over periods."""
    sigma, frequency = 0.8 * 2**scale, 0.75 * math.pi / 2**scale
    wave, envelope = np.zeros((rows, columns), complex), np.zeros((rows, columns))
    for u in range(-2 * rows, 3 * rows):
        for v in range(-2 * columns, 3 * columns):
            along = u * math.cos(angle) + v * math.sin(angle)
            across = v * math.cos(angle) - u * math.sin(angle)
            value = math.exp(-(along**2 + slant**2 * across**2) / (2 * sigma**2)) * slant / (2 * 3.1415 * sigma**2)
            envelope[u % rows, v % columns] += value
            wave[u % rows, v % columns] += value * cmath.exp(1j * frequency * along)
    return wave - wave.sum() / envelope.sum() * envelope


def circular(signal: np.ndarray, kernel: np.ndarray) -> NDArray[np.complex128]:
    """Circular convolution as the sum that defines it."""
    total = np.zeros(signal.shape, complex)
    for place in np.ndindex(*kernel.shape):
        total += kernel[place] * np.roll(signal, place, axis=(0, 1))
    return total


def test_equals_the_definition_written_out_in_space():
    rows, columns, angles = 6, 7, 3
    image = noise(1, 1, rows, columns)
    # J = 1: no filter is coarsened, so plain convolutions on the padded 10 x 10 (6 + 2 + 2, 7 + 1 + 2) grid say it all
    padded = np.pad(image[0, 0].double().numpy(), ((2, 2), (1, 2)), mode="reflect")
    sigma, positions = 0.8, np.arange(-20, 30)
    bell = np.zeros(10)
    np.add.at(bell, positions % 10, np.exp(-(positions**2) / (2 * sigma**2)))
    low = np.outer(bell, bell) / (2 * 3.1415 * sigma**2)
    directions = [0.0, -math.pi / 3, -2 * math.pi / 3]
    signals = [padded] + [abs(circular(padded, wavelet(10, 10, 0, angle, 4 / 3))) for angle in directions]
    expected = np.stack([np.real(circular(signal, low))[::2, ::2][1:-1, 1:-1] for signal in signals])
    features = Scattering((rows, columns), J=1, angles=angles)(image)[0]
    np.testing.assert_allclose(features.numpy(), expected, atol=FLOAT32)
    assert np.abs(expected[1:] - expected[0]).max() > 0.05  # the paths do differ


@given(st.integers(0, 9), st.integers(1, 3), st.integers(2**8, 2**13))
@settings(max_examples=20, deadline=None)
def test_features_of_a_record_do_not_depend_on_its_batch(records, channels, chunk):
    images = noise(records, channels, 13, 10)
    transform = Scattering((13, 10), angles=4)
    one_by_one = [transform(image[None, None])[0] for record in images for image in record]
    expected = torch.stack(one_by_one).reshape(records, -1, 3, 2) if records else torch.zeros(0, channels * 25, 3, 2)
    before = module._CHUNK_PIXELS
    module._CHUNK_PIXELS = chunk
    try:
        torch.testing.assert_close(transform(images), expected, atol=1e-6, rtol=0)
    finally:
        module._CHUNK_PIXELS = before


def test_wavelets_ignore_constants_and_features_scale_with_contrast():
    transform = Scattering((16, 16))
    flat = transform(torch.full((1, 1, 16, 16), 0.7))
    assert flat[:, 1:].abs().max() < 1e-6
    torch.testing.assert_close(flat[:, 0], torch.full((1, 4, 4), 0.7), atol=1e-4, rtol=0)
    images = noise(2, 1, 16, 16)
    torch.testing.assert_close(transform(3 * images), 3 * transform(images), atol=FLOAT32, rtol=0)
    assert (transform(images + 1)[:, 1:] - transform(images)[:, 1:]).abs().max() < FLOAT32


def test_nothing_is_learned_stored_or_shared_between_records():
    transform = Scattering((16, 16))
    assert list(transform.parameters()) == []
    assert transform.state_dict() == {}
    images = noise(4, 1, 16, 16)
    for record in range(4):
        images.grad, images.requires_grad = None, True
        transform(images)[record].sum().backward()
        assert images.grad is not None
        moved = images.grad.abs().amax(dim=(1, 2, 3)) > 0
        assert moved.tolist() == [other == record for other in range(4)]


def test_the_gradient_of_a_black_image_is_finite():
    images = torch.zeros(1, 1, 16, 16, requires_grad=True)
    Scattering((16, 16))(images).sum().backward()
    assert images.grad is not None
    assert torch.isfinite(images.grad).all()


@pytest.mark.parametrize(
    ("settings_", "said"),
    [
        ({"order": 3}, "order=3"),
        ({"J": 0}, "J=0"),
        ({"angles": 0}, "angles=0"),
        ({"shape": (4, 28)}, "rows=4"),
        ({"shape": (28, 8), "J": 3}, "columns=8"),
    ],
)
def test_refuses_settings_outside_the_domain(settings_, said):
    with pytest.raises(ValueError, match=said):
        Scattering(**settings_)


@pytest.mark.parametrize("images", [torch.zeros(28, 28), torch.zeros(1, 1, 32, 32), torch.zeros(1, 1, 28, 28).double()])
def test_refuses_images_it_was_not_built_for(images):
    with pytest.raises(ValueError, match="give float32 of shape"):
        Scattering()(images)
