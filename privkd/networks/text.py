"""A vocabulary of few words and a small encoder of sentences: stands in for a large one, with the same interface."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from accountants import check
from privkd.networks.transformer import TransformerEncoder

_SPECIAL = 2  # ids of what is no word: 0 fills up, 1 is a word that is not known


class Vocabulary:
    """Words, separated by white space and in lower case, and their ids from 2 on; 0 fills up, 1 is any other word.

    The words are part of the network and leave with it: take them from PUBLIC texts only.

    Args:
        words: without white space or capitals, at most 198.

    Raises:
        ValueError: no word, too many of them, one twice, or one that no text could contain.

    Example:
        >>> vocabulary = Vocabulary.of(["a red disc", "a blue disc"])
        >>> vocabulary.words, vocabulary.ids("A green  disc")
        (('a', 'disc', 'blue', 'red'), [2, 1, 3])
    """

    largest = 200

    def __init__(self, words: Sequence[str]) -> None:
        check.integer(words=len(words), at_least=1, at_most=self.largest - _SPECIAL)
        if len(set(words)) != len(words):
            raise ValueError("words has a word twice; each needs one id")
        if any(word.lower().split() != [word] for word in words):
            raise ValueError(
                "words has one that is empty or has white space or capitals; texts are split and lower-cased"
            )
        self.words = tuple(words)
        self._ids = {word: position + _SPECIAL for position, word in enumerate(words)}

    @classmethod
    def of(cls, texts: Iterable[str]) -> Vocabulary:
        """The 198 commonest words of PUBLIC texts, the commonest first, equally common ones by the alphabet."""
        counts = Counter(word for text in texts for word in text.lower().split())
        return cls(sorted(counts, key=lambda word: (-counts[word], word))[: cls.largest - _SPECIAL])

    def __len__(self) -> int:
        """Number of ids, those of no word included."""
        return len(self.words) + _SPECIAL

    def ids(self, text: str) -> list[int]:
        """The ids of the words of a text, in order.

        Raises:
            ValueError: a text without words.
        """
        found = [self._ids.get(word, 1) for word in text.lower().split()]
        if not found:
            raise ValueError("a text has no words; leave it out, or name what it stands for")
        return found


class TinyText(nn.Module):
    """Encoder of sentences: word and position vectors and a transformer of 2 layers and width 64.

    With a vocabulary of 200 ids it has 82,432 parameters.

    Args:
        vocabulary: which words are told apart.
        dim: size d of the answer.
        layers: how many.
        heads: of the attention.
        length: words that a text is cut to, with a warning.

    Attributes:
        dim: size of the answer.

    Raises:
        ValueError: a size below 1; in `forward`, no text, or one without words.

    Example:
        >>> tokens, mask = TinyText(Vocabulary(["red", "disc"]))(["red disc", "disc"])
        >>> tokens.shape, mask.tolist()
        (torch.Size([2, 2, 64]), [[True, True], [True, False]])
    """

    def __init__(
        self, vocabulary: Vocabulary, dim: int = 64, layers: int = 2, heads: int = 4, *, length: int = 40
    ) -> None:
        check.integer(length=length, at_least=1)
        super().__init__()
        self.vocabulary, self.dim, self.length = vocabulary, dim, length
        self.words = nn.Embedding(len(vocabulary), dim, padding_idx=0)
        self.positions = nn.Parameter(nn.init.trunc_normal_(torch.empty(length, dim), std=0.02))
        self.encoder = TransformerEncoder(dim, layers, heads, ratio=2)

    def forward(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """Tokens, float32, shape (b, L, d), and which of them are words, bool, shape (b, L); L is that of the longest text."""
        if not texts:
            raise ValueError("texts is empty; give at least one")
        rows = [self.vocabulary.ids(text) for text in texts]
        cut = sum(len(row) > self.length for row in rows)
        if cut:
            warnings.warn(f"{cut} of {len(rows)} texts were cut to length={self.length} words", stacklevel=2)
        longest = min(max(map(len, rows)), self.length)
        padded = [(row + [0] * longest)[:longest] for row in rows]
        ids = torch.tensor(padded, device=self.positions.device)
        mask = ids != 0
        return self.encoder(self.words(ids) + self.positions[:longest], mask), mask
