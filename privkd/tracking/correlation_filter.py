"""`CorrelationFilter`: a tracker that learns what its target looks like as a correlation filter, and searches a few scales.

Whose is what: see `privkd.tracking.ridge` for the filter. The Hann window and the label whose width grows with the target are those
of KCF (arXiv 1404.7584); that each frame is searched with the filter at several scales is SAMF (Li and Zhu, ECCV workshops
2014), which DSST has a second filter for. Ours: the channels, and the settings.
"""

from __future__ import annotations

import dataclasses
import math
import os
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from accountants import check
from privkd.errors import CheckpointError
from privkd.networks.crops import Window, clamp_box, context_side, hann2d
from privkd.plain import make_plain
from privkd.storage import read_json, write_json
from privkd.tracking.fixed_channels import fixed_channels
from privkd.tracking.ridge import RidgeFilter, peak_of
from privkd.tracking.tracker import TrackResult

SCHEMA = "privkd.correlation-filter/1"


@dataclass(frozen=True, kw_only=True)
class CorrelationFilterConfig:
    """Settings of the tracker.

    Attributes:
        size: side of the patch that is searched, cells, 16 to 256.
        context: of the target in the patch; side of the patch over that of a square target, in [1.5, 8].
        sigma: standard deviation of the wanted response over the side of the target, > 0.
        ridge: weight of the penalty over the number of cells, > 0.
        rate: weight of a new frame in the running averages, in [0, 1]; 0 keeps what the first frame showed.
        scale_step: ratio of neighbouring scales, > 1.
        scales: how many are searched in each frame, odd; 1 keeps the size of the first box.
        scale_penalty: factor on the response of each scale but the last frame's, in (0, 1].
        window: power of the Hann window under which patches fade to their border, in [0, 8]; 0 is none, with which the filter
            learns borders that are not there, and the ground.

    Raises:
        TypeError, ValueError: a field is out of range.
    """

    size: int = 48
    context: float = 3.0
    sigma: float = 0.12
    ridge: float = 0.01
    rate: float = 0.02
    scale_step: float = 1.03
    scales: int = 3
    scale_penalty: float = 0.98
    window: float = 2.0

    def __post_init__(self) -> None:
        make_plain(self)
        check.integer(size=self.size, at_least=16, at_most=256)
        check.integer(scales=self.scales, at_least=1, at_most=33)
        check.real(context=self.context, at_least=1.5, at_most=8.0)
        check.real(sigma=self.sigma, ridge=self.ridge, above=0.0)
        check.real(rate=self.rate, at_least=0.0, at_most=1.0)
        check.real(window=self.window, at_least=0.0, at_most=8.0)
        check.real(scale_step=self.scale_step, above=1.0, at_most=2.0)
        check.real(scale_penalty=self.scale_penalty, above=0.0, at_most=1.0)
        if self.scales % 2 == 0:
            raise ValueError(
                f"scales={self.scales} must be odd: the size of the last frame, and as many above as below"
            )


class CorrelationFilter:
    """A `privkd.tracking.Tracker`; nothing of it is learned before the first frame, and nothing in it is random.

    Its score is the peak-to-sidelobe ratio, about 10 or more where the target is found well and below 5 where it is lost; it
    always claims that the target is visible.

    Args:
        settings: see there.

    Example:
        >>> frames = np.zeros((2, 60, 80, 3), np.uint8)
        >>> frames[0, 20:30, 30:42], frames[1, 22:32, 33:45] = 255, 255
        >>> tracker = CorrelationFilter()
        >>> tracker.init(frames[0], np.array([30.0, 20.0, 12.0, 10.0]))
        >>> tracker.update(frames[1]).box.round(0).tolist()
        [33.0, 22.0, 12.0, 10.0]
    """

    def __init__(self, settings: CorrelationFilterConfig = CorrelationFilterConfig()) -> None:
        self.settings = settings

    def __repr__(self) -> str:
        return f"CorrelationFilter({self.settings!r})"

    def init(self, frame: np.ndarray, box: np.ndarray, language: str | None = None) -> None:
        settings = self.settings
        self._box = torch.from_numpy(np.asarray(box, dtype=np.float64).copy())
        width, height = self._box[2:].tolist()
        self._first, self._factor = self._box[2:].clone(), 1.0
        self._side = context_side(width, height, settings.context)
        target = math.sqrt(width * height) * settings.size / self._side
        self._hann = hann2d(settings.size) ** settings.window
        self._filter = RidgeFilter(settings.size, settings.sigma * target, settings.ridge * settings.size**2)
        self._mean, self._spread = torch.zeros(1), torch.ones(1)
        image = _as_image(frame)
        channels = fixed_channels(self._patch(image, 1.0)[None])[0]
        self._mean, self._spread = (
            found[:, None, None] for found in (channels.mean(dim=(1, 2)), channels.std(dim=(1, 2)).clamp(min=1e-3))
        )
        self._filter.learn(self._features(image, (1.0,))[0], 1.0)

    def update(self, frame: np.ndarray) -> TrackResult:
        image = _as_image(frame)
        steps = range(-(self.settings.scales // 2), self.settings.scales // 2 + 1)
        ratios = tuple(self.settings.scale_step**step for step in steps)
        responses = self._filter.response(self._features(image, ratios))
        heights = responses.amax(dim=(1, 2)) * torch.tensor(
            [1.0 if step == 0 else self.settings.scale_penalty for step in steps]
        )
        best = int(heights.argmax())
        down, across, ratio = peak_of(responses[best])
        self._move(across, down, ratios[best], image)
        self._filter.learn(self._features(image, (1.0,))[0], self.settings.rate)
        return TrackResult(self._box.numpy().copy(), ratio)

    def _move(self, across: float, down: float, ratio: float, image: Tensor) -> None:
        """The box by a shift in cells of the patch that was found, and to its scale."""
        cell = self._side * self._factor * ratio / self.settings.size
        centre = self._box[:2] + self._box[2:] / 2 + torch.tensor([across, down], dtype=torch.float64) * cell
        self._factor = min(max(self._factor * ratio, 0.2), 5.0)
        sides = self._first * self._factor
        self._box = clamp_box(torch.cat([centre - sides / 2, sides]), image.shape[2], image.shape[1])

    def _features(self, image: Tensor, ratios: tuple[float, ...]) -> Tensor:
        """Channels around the last box at some scales, of the mean and the spread of the first frame's, under the window."""
        channels = fixed_channels(torch.stack([self._patch(image, ratio) for ratio in ratios]))
        return (channels - self._mean) / self._spread * self._hann

    def _patch(self, image: Tensor, ratio: float) -> Tensor:
        x, y = (self._box[:2] + self._box[2:] / 2).tolist()
        side, size = self._side * self._factor * ratio, self.settings.size
        finer = max(1, round(side / size))  # pixels per cell: all of them count
        patch = Window(x, y, side, size * finer).crop(image)
        return functional.avg_pool2d(patch, finer) if finer > 1 else patch

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the settings as JSON; what was learned of a target is not kept."""
        write_json(path, {"schema": SCHEMA, "settings": asdict(self.settings)})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> CorrelationFilter:
        """A tracker with the settings that `save` wrote.

        Raises:
            CheckpointError: the file is damaged or holds something else.
            FileNotFoundError: there is none.
        """
        found = read_json(path, dict)
        names = {field.name for field in dataclasses.fields(CorrelationFilterConfig)}
        settings = found.get("settings")
        if found.get("schema") != SCHEMA or not isinstance(settings, dict) or set(settings) != names:
            raise CheckpointError(f"{path} must have the schema {SCHEMA!r} and the settings {', '.join(sorted(names))}")
        try:
            return cls(CorrelationFilterConfig(**settings))
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"{path} has settings that are out of range: {error}") from error


def _as_image(frame: np.ndarray) -> Tensor:
    """A frame as floats in [0, 1], shape (1 or 3, height, width); transparency is left out."""
    if frame.ndim != 3 or frame.shape[2] not in (1, 3, 4) or (frame.dtype != np.uint8 and frame.dtype.kind != "f"):
        raise ValueError(
            f"frame of shape {frame.shape} and dtype {frame.dtype} must be (height, width, 1, 3 or 4), uint8 or float in [0, 1]"
        )
    image = torch.from_numpy(np.ascontiguousarray(frame[..., :3])).permute(2, 0, 1)
    return image.float() / 255 if frame.dtype == np.uint8 else image.float()
