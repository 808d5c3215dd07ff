"""Published text encoders of transformers, and how texts become their tokens."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from privkd.networks.pretrained.hub import Weights, optional, require_name, weights_of


def tokens_of(tokenizer: Any, texts: list[str], longest: int, device: torch.device) -> dict[str, Tensor]:
    """Ids and mask, int64, shape (b, L), of texts, cut to `longest` tokens with a warning.

    Args:
        tokenizer: of transformers; None where the encoder was built without one.
        texts: at least one, none without words.
        longest: tokens that the encoder takes.
        device: of the encoder.

    Raises:
        ValueError: no tokenizer, no text, or a text without words.
    """
    if tokenizer is None:
        raise ValueError("this encoder was built from a configuration and has no tokenizer; pass tokenizer= with it")
    if not texts or not all(text.strip() for text in texts):
        raise ValueError("texts is empty or has one without words; leave it out, or name what it stands for")
    cut = sum(len(ids) > longest for ids in tokenizer(texts, verbose=False)["input_ids"])
    if cut:
        warnings.warn(f"{cut} of {len(texts)} texts were cut to {longest} tokens", stacklevel=3)
    found = tokenizer(texts, padding=True, truncation=True, max_length=longest, return_tensors="pt")
    return {name: found[name].to(device) for name in ("input_ids", "attention_mask")}


def transformers_model(kind: str, source: Any, weights: Weights, *, local_files_only: bool, **settings: Any) -> Any:
    """A model of transformers: with published weights, or random ones for a configuration or a name.

    Args:
        kind: such as "Bert"; the classes `BertModel` and `BertConfig` are used.
        source: name of a published model, a folder, or a configuration.
        weights: "pretrained", or None.
        local_files_only: whether nothing may be downloaded.
        **settings: for the model.
    """
    model, config = optional("transformers", f"{kind}Model", f"{kind}Config")
    name = require_name(source, weights)
    if name is None:
        if not isinstance(source, config):
            raise TypeError(f"source is a {type(source).__name__}; a name, a folder or a {config.__name__} is needed")
        return model(source, **settings)
    with weights_of(name, local_files_only=local_files_only):
        if weights is None:
            return model(config.from_pretrained(name, local_files_only=local_files_only), **settings)
        return model.from_pretrained(name, local_files_only=local_files_only, **settings)


def transformers_tokenizer(source: Any, tokenizer: Any, *, local_files_only: bool) -> Any:
    """The given tokenizer, or that of a published model; None for a configuration."""
    if tokenizer is not None or not isinstance(source, str):
        return tokenizer
    (automatic,) = optional("transformers", "AutoTokenizer")
    with weights_of(source, local_files_only=local_files_only):
        return automatic.from_pretrained(source, local_files_only=local_files_only)


class BertHF(nn.Module):
    """A `TextEncoder`: the last hidden states of a BERT of transformers, in eval mode at first.

    Args:
        source: name of a published model, a folder that holds one, or a `BertConfig`.
        weights: "pretrained", or None for random ones; a configuration has none but random ones.
        tokenizer: of transformers; None for that of the published model.
        local_files_only: whether nothing may be downloaded.

    Attributes:
        dim: size of a token.
        model: the `BertModel`, for taps as "model.…".

    Raises:
        ImportError: transformers is not installed.
        FileNotFoundError: nothing may be downloaded, and files are missing.
        ValueError: weights of a configuration; when it is used, no text or one without words.
    """

    model: Any

    def __init__(
        self,
        source: Any = "bert-base-uncased",
        *,
        weights: Weights = "pretrained",
        tokenizer: Any = None,
        local_files_only: bool = False,
    ) -> None:
        super().__init__()
        self.model = transformers_model(
            "Bert", source, weights, local_files_only=local_files_only, add_pooling_layer=False
        )
        self.tokenizer = transformers_tokenizer(source, tokenizer, local_files_only=local_files_only)
        self.dim: int = self.model.config.hidden_size
        self.eval()

    def forward(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """Tokens, float32, shape (b, L, dim), and which of them are no filling, bool, shape (b, L)."""
        longest, device = self.model.config.max_position_embeddings, next(self.model.parameters()).device
        tokens = tokens_of(self.tokenizer, texts, longest, device)
        return self.model(**tokens).last_hidden_state, tokens["attention_mask"].bool()
