"""Published image-text encoders: CLIP of transformers, and the models of open_clip."""

from __future__ import annotations

import warnings
from typing import Any

from torch import Tensor
from torch.nn import functional

from privkd.networks.pretrained.hub import Weights, absent, optional, weights_of
from privkd.networks.pretrained.pixels import CLIP, PixelAdapter
from privkd.networks.pretrained.texts import tokens_of, transformers_model, transformers_tokenizer


class ClipHF(PixelAdapter):
    """An `ImageTextEncoder`: CLIP of transformers.

    Args:
        source: name of a published model, a folder that holds one, or a `CLIPConfig`.
        weights: "pretrained", or None for random ones; a configuration has none but random ones.
        tokenizer: of transformers; None for that of the published model.
        local_files_only: whether nothing may be downloaded.

    Raises:
        ImportError: transformers is not installed.
        FileNotFoundError: nothing may be downloaded, and files are missing.
        ValueError: weights of a configuration; when it is used, images of another shape or a text without words.
    """

    def __init__(
        self,
        source: Any = "openai/clip-vit-base-patch32",
        *,
        weights: Weights = "pretrained",
        tokenizer: Any = None,
        local_files_only: bool = False,
    ) -> None:
        model = transformers_model("CLIP", source, weights, local_files_only=local_files_only)
        super().__init__(model, CLIP, model.config.projection_dim, model.config.vision_config.image_size)
        self.tokenizer = transformers_tokenizer(source, tokenizer, local_files_only=local_files_only)

    def encode_image(self, x: Tensor) -> Tensor:
        """Unit vectors, shape (b, dim), from images in [0, 1], shape (b, 3, side, side)."""
        pooled = self.model.vision_model(pixel_values=self.normalised(x)).pooler_output
        return functional.normalize(self.model.visual_projection(pooled), dim=1)

    def encode_patches(self, x: Tensor) -> Tensor:
        """Projected patch tokens, row by row, shape (b, N, dim)."""
        hidden = self.model.vision_model(pixel_values=self.normalised(x)).last_hidden_state[:, 1:]
        return self.model.visual_projection(self.model.vision_model.post_layernorm(hidden))

    def encode_text(self, texts: list[str]) -> Tensor:
        """Unit vectors, shape (b, dim)."""
        longest = self.model.config.text_config.max_position_embeddings
        tokens = tokens_of(self.tokenizer, texts, longest, self.mean.device)
        return functional.normalize(self.model.text_projection(self.model.text_model(**tokens).pooler_output), dim=1)


class OpenClip(PixelAdapter):
    """An `ImageTextEncoder`: a model of open_clip.

    Args:
        name: of the architecture, such as "ViT-B-32".
        tag: of its weights, such as "laion2b_s34b_b79k", or the path of a file; None for random ones.
        local_files_only: whether nothing may be downloaded.

    Raises:
        ImportError: open_clip is not installed, or does not fit this torch.
        FileNotFoundError: nothing may be downloaded, and files are missing.
        ValueError: an unknown name or tag; when it is used, images of another shape or a text without words.
    """

    def __init__(self, name: str = "ViT-B-32", tag: str | None = None, *, local_files_only: bool = False) -> None:
        library = optional("open_clip")
        if name not in library.list_models():
            raise ValueError(f"open_clip has no architecture {name!r}; open_clip.list_models() lists them")
        published = library.get_pretrained_cfg(name, tag) if tag is not None else {}
        if local_files_only and published and not published.get("hf_hub"):
            raise absent(f"{name}, {tag}")
        with weights_of(f"{name}, {tag}", local_files_only=local_files_only):
            model = library.create_model(name, pretrained=tag, require_pretrained=tag is not None)
        side = model.visual.image_size
        settings = getattr(model.visual, "preprocess_cfg", {})
        pixels = settings.get("mean", CLIP[0]), settings.get("std", CLIP[1])
        super().__init__(model, pixels, model.visual.output_dim, side if isinstance(side, int) else side[0])
        self.tokenizer = library.get_tokenizer(name)

    def encode_image(self, x: Tensor) -> Tensor:
        """Unit vectors, shape (b, dim), from images in [0, 1], shape (b, 3, side, side)."""
        return self.model.encode_image(self.normalised(x), normalize=True)

    def encode_patches(self, x: Tensor) -> Tensor:
        """Projected patch tokens, row by row, shape (b, N, dim).

        Raises:
            ValueError: the image side is no vision transformer of open_clip's own, and has no such tokens.
        """
        visual = self.model.visual
        if getattr(visual, "proj", None) is None or not hasattr(visual, "forward_intermediates"):
            raise ValueError(f"a {type(visual).__name__} has no projected patches; choose an architecture ViT-…")
        found = visual.forward_intermediates(
            self.normalised(x), indices=1, normalize_intermediates=True, intermediates_only=True, output_fmt="NLC"
        )
        return found["image_intermediates"][0] @ visual.proj

    def encode_text(self, texts: list[str]) -> Tensor:
        """Unit vectors, shape (b, dim)."""
        if not texts or not all(text.strip() for text in texts):
            raise ValueError("texts is empty or has one without words; leave it out, or name what it stands for")
        ids = self.tokenizer(texts)
        cut = int((ids[:, -1] != 0).sum())
        if cut:
            warnings.warn(f"{cut} of {len(texts)} texts fill or exceed {ids.shape[1]} tokens", stacklevel=2)
        return self.model.encode_text(ids.to(self.mean.device), normalize=True)
