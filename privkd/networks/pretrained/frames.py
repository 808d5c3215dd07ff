"""Published encoders of frames: the models of timm and of torchvision, and the masked autoencoder of transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from privkd.networks.pretrained.hub import Weights, absent, optional, weights_of
from privkd.networks.pretrained.pixels import IMAGENET, PixelAdapter
from privkd.networks.pretrained.texts import transformers_model

_LAST_LAYERS = ("fc", "classifier", "head", "heads")  # what torchvision calls classifiers


class TimmEncoder(PixelAdapter):
    """A `FrameEncoder`: a model of timm without its classifier.

    Args:
        name: as timm knows it, such as "resnet18" or "vit_base_patch16_224.augreg_in21k".
        weights: "pretrained", or None for random ones.
        maps: whether the answer is the last map, (b, dim, h, w), and not its pooled vector, (b, dim).
        local_files_only: whether nothing may be downloaded.

    Raises:
        ImportError: timm is not installed, or does not fit this torch.
        FileNotFoundError: nothing may be downloaded, and files are missing.
        ValueError: an unknown name, or one without published weights; in `forward`, images of another shape.
    """

    def __init__(
        self, name: str, *, weights: Weights = "pretrained", maps: bool = False, local_files_only: bool = False
    ) -> None:
        timm = optional("timm")
        if not timm.is_model(name.split(".")[0]):
            raise ValueError(f"timm has no model {name!r}; timm.list_models() lists them")
        published = timm.get_pretrained_cfg(name)
        if weights is not None and (published is None or not (published.hf_hub_id or published.url)):
            raise ValueError(f"timm has no published weights for {name!r}; pass weights=None for random ones")
        if weights is not None and local_files_only and not published.hf_hub_id:
            raise absent(name)
        with weights_of(name, local_files_only=local_files_only):
            model = timm.create_model(name, pretrained=weights is not None, num_classes=0)
        about = model.pretrained_cfg
        side = about["input_size"][-1] if about.get("fixed_input_size") else None
        super().__init__(model, (about["mean"], about["std"]), model.num_features, side)
        self.maps = maps

    def forward(self, x: Tensor) -> Tensor:
        """Vectors, shape (b, dim), or maps, shape (b, dim, h, w), from images in [0, 1], shape (b, 3, H, W)."""
        pixels = self.normalised(x)
        if self.maps:
            return self.model.forward_intermediates(pixels, indices=1, norm=True, intermediates_only=True)[0]
        return self.model(pixels)


class TorchvisionEncoder(PixelAdapter):
    """A `FrameEncoder`: a classifier of torchvision without its last layers; a `Tap` gives its maps.

    Args:
        name: as torchvision knows it, such as "resnet18".
        weights: "pretrained" for its default weights, or None for random ones.
        local_files_only: whether nothing may be downloaded.

    Raises:
        ImportError: torchvision is not installed, or does not fit this torch.
        FileNotFoundError: nothing may be downloaded, and the weights are missing.
        ValueError: an unknown name, or a model that does not end in a classifier; in `forward`, images of another shape.
    """

    def __init__(self, name: str, *, weights: Weights = "pretrained", local_files_only: bool = False) -> None:
        models = optional("torchvision.models")
        if name not in models.list_models(module=models):
            raise ValueError(
                f"torchvision has no classifier {name!r}; torchvision.models.list_models() lists what it has"
            )
        chosen = models.get_model_weights(name).DEFAULT if weights is not None else None
        if chosen is not None and local_files_only:
            file = Path(torch.hub.get_dir()) / "checkpoints" / Path(chosen.url).name
            if not file.is_file():
                raise absent(name)
        model = models.get_model(name, weights=chosen)
        pixels = IMAGENET
        if chosen is not None:
            transforms = chosen.transforms()
            pixels = transforms.mean, transforms.std
        super().__init__(model, pixels, _without_classifier(model, name), getattr(model, "image_size", None))

    def forward(self, x: Tensor) -> Tensor:
        """Vectors, shape (b, dim), from images in [0, 1], shape (b, 3, H, W)."""
        return self.model(self.normalised(x))


class MaeHF(PixelAdapter):
    """A `FrameEncoder`: the encoder of a masked autoencoder of transformers, which sees every patch.

    Args:
        source: name of a published model, a folder that holds one, or a `ViTMAEConfig`, whose `mask_ratio` is not used.
        weights: "pretrained", or None for random ones; a configuration has none but random ones.
        local_files_only: whether nothing may be downloaded.

    Raises:
        ImportError: transformers is not installed.
        FileNotFoundError: nothing may be downloaded, and files are missing.
        ValueError: weights of a configuration; in `forward`, images of another shape.
    """

    def __init__(
        self,
        source: Any = "facebook/vit-mae-base",
        *,
        weights: Weights = "pretrained",
        local_files_only: bool = False,
    ) -> None:
        model = transformers_model("ViTMAE", source, weights, local_files_only=local_files_only)
        model.embeddings.config.mask_ratio = 0.0
        super().__init__(model, IMAGENET, model.config.hidden_size, model.config.image_size)

    def encode_tokens(self, x: Tensor) -> Tensor:
        """The class token and one token per patch, row by row, shape (b, 1 + N, dim)."""
        pixels = self.normalised(x)
        count = self.model.embeddings.patch_embeddings.num_patches
        order = torch.arange(count, device=x.device, dtype=pixels.dtype).expand(x.shape[0], count)  # else it shuffles
        return self.model(pixels, noise=order).last_hidden_state

    def forward(self, x: Tensor) -> Tensor:
        """The class token, shape (b, dim), from images in [0, 1], shape (b, 3, side, side)."""
        return self.encode_tokens(x)[:, 0]


def _without_classifier(model: nn.Module, name: str) -> int:
    """Take the last layers away; the size of what went into them."""
    for attribute in _LAST_LAYERS:
        layers = getattr(model, attribute, None)
        linear = next((part for part in layers.modules() if isinstance(part, nn.Linear)), None) if layers else None
        if linear is not None:
            setattr(model, attribute, nn.Identity())
            return linear.in_features
    raise ValueError(f"torchvision's {name!r} does not end in a linear classifier; choose another classifier")
