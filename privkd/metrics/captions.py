"""Captions against references: BLEU-1 to 4, ROUGE-L, CIDEr and a METEOR of exact matches, in pure Python.

Texts are lower-cased and cut into words and numbers by a regular expression; punctuation is dropped. The usual evaluation of
COCO captions cuts with a Java tokeniser, whose figures differ slightly. Where the words are the same, BLEU, ROUGE-L and
CIDEr-D are those of that evaluation.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_WORD = re.compile(r"\w+(?:'\w+)?")
_LONGEST = 4  # words of an n-gram

Ngram = tuple[str, ...]


@dataclass(frozen=True)
class CaptionScores:
    """What captions reach against their references.

    Attributes:
        bleu: BLEU-1, -2, -3 and -4 of all captions together, in [0, 1].
        rouge_l: mean over captions, in [0, 1].
        cider: mean over captions, in [0, 10].
        meteor: mean over captions of METEOR with exact matches only, in [0, 1].
    """

    bleu: tuple[float, float, float, float]
    rouge_l: float
    cider: float
    meteor: float


def tokens(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation.

    Example:
        >>> tokens("A dog's life, isn't it?")
        ['a', "dog's", 'life', "isn't", 'it']
    """
    return _WORD.findall(text.lower())


def score_captions(captions: Sequence[str], references: Sequence[Sequence[str]]) -> CaptionScores:
    """All measures of captions, one for each item, against one reference or more for each.

    Args:
        captions: one text per item, at least two items (CIDEr weighs words by the items that use them).
        references: texts of each item, at least one each; the numbers may differ.

    Raises:
        TypeError: no texts.
        ValueError: no items, one item only, lengths that differ, or an item without references or words.
    """
    return CaptionScores(
        bleu=bleu(captions, references),
        rouge_l=rouge_l(captions, references),
        cider=cider(captions, references),
        meteor=meteor(captions, references),
    )


def bleu(captions: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[float, float, float, float]:
    """BLEU-1 to 4 of the whole corpus: geometric mean of clipped n-gram precisions, times exp(1 - r / c) where c < r.

    c is the length of all captions, r that of the references nearest in length (the shorter of two). Not smoothed: no
    matching n-gram anywhere gives 0.

    Args:
        captions: one text per item.
        references: texts of each item, at least one each.

    Raises:
        TypeError: no texts.
        ValueError: no items, lengths that differ, or an item without references or words.

    Source: Papineni et al., ACL 2002.

    Example:
        >>> [round(value, 4) for value in bleu(["a cat on a mat"], [["the cat on a mat"]])]
        [0.8, 0.7746, 0.7368, 0.6687]
    """
    matched, proposed, length, wanted = [0] * _LONGEST, [0] * _LONGEST, 0, 0
    for words, known in _items(captions, references):
        length += len(words)
        wanted += min((abs(len(one) - len(words)), len(one)) for one in known)[1]
        for n in range(1, _LONGEST + 1):
            counts, most = _ngrams(words, n), Counter[Ngram]()
            for one in known:
                most |= _ngrams(one, n)
            matched[n - 1] += (counts & most).total()
            proposed[n - 1] += counts.total()
    brevity = min(1.0, math.exp(1 - wanted / length))
    precisions = [hits / total if total else 0.0 for hits, total in zip(matched, proposed, strict=True)]
    one, two, three, four = (brevity * math.prod(precisions[:n]) ** (1 / n) for n in range(1, _LONGEST + 1))
    return one, two, three, four


def rouge_l(captions: Sequence[str], references: Sequence[Sequence[str]], *, beta: float = 1.2) -> float:
    """ROUGE-L: mean over captions of (1 + beta^2) P R / (R + beta^2 P), from the longest common subsequence of words.

    P is its share of the caption and R of the reference, each the best over the references.

    Args:
        captions: one text per item.
        references: texts of each item, at least one each.
        beta: weight of R.

    Raises:
        TypeError: no texts.
        ValueError: as `bleu`.

    Source: Lin, "ROUGE", 2004; the rule for several references is that of the COCO caption evaluation.

    Example:
        >>> round(rouge_l(["a cat on a mat"], [["the cat on a mat"]]), 4)
        0.8
    """
    values = []
    for words, known in _items(captions, references):
        common = [_common_subsequence(words, one) for one in known]
        precision = max(common) / len(words)
        recall = max(length / len(one) for length, one in zip(common, known, strict=True))
        low = recall + beta**2 * precision
        values.append((1 + beta**2) * precision * recall / low if low else 0.0)
    return sum(values) / len(values)


def cider(captions: Sequence[str], references: Sequence[Sequence[str]], *, clipped: bool = False) -> float:
    """CIDEr: ten times the mean cosine of tf-idf vectors of n-grams, n = 1 to 4, over references and captions.

    The inverse document frequency of an n-gram is log(items / items with a reference that has it).

    Args:
        captions: one text per item, at least two items.
        references: texts of each item, at least one each.
        clipped: CIDEr-D, which the COCO caption evaluation calls CIDEr: weights of the caption are cut to those of the
            reference, and a difference of d words costs a factor exp(-d^2 / 72).

    Raises:
        TypeError: no texts.
        ValueError: as `bleu`, or one item only, where every weight would be 0.

    Source: Vedantam et al., CVPR 2015.

    Example:
        >>> round(cider(["a cat", "a red dog"], [["the cat"], ["a red dog"]]), 4)
        4.375
    """
    items = list(_items(captions, references))
    if len(items) < 2:
        raise ValueError("captions has 1 item; CIDEr weighs words by the items that use them, so give two or more")
    spread = Counter[Ngram]()
    for _, known in items:
        spread.update({gram for one in known for n in range(1, _LONGEST + 1) for gram in _ngrams(one, n)})
    values = []
    for words, known in items:
        vectors = _weighted(words, spread, len(items))
        for one in known:
            cosines = [
                _cosine(vector, other, clipped)
                for vector, other in zip(vectors, _weighted(one, spread, len(items)), strict=True)
            ]
            apart = (len(words) - len(one)) if clipped else 0
            values.append(10 * sum(cosines) / _LONGEST * math.exp(-(apart**2) / 72) / len(known))
    return math.fsum(values) / len(items)


def meteor(captions: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """METEOR with exact matches only: mean over captions of F (1 - 0.5 (chunks / matches)^3), the best over references.

    F = P R / (0.9 P + 0.1 R). Words are matched one to one, as many as possible, the longest common runs first; this needs
    few chunks, but not always the fewest. Stems, synonyms and paraphrases do not count, so values are lower than METEOR's.

    Args:
        captions: one text per item.
        references: texts of each item, at least one each.

    Raises:
        TypeError: no texts.
        ValueError: as `bleu`.

    Source: Lavie, Agarwal, WMT 2007 (form and constants), reduced.

    Example:
        >>> round(meteor(["a cat on a mat"], [["the cat on a mat"]]), 4)
        0.7938
    """
    best = [max(_meteor_of(words, one) for one in known) for words, known in _items(captions, references)]
    return sum(best) / len(best)


def _items(captions: Sequence[str], references: Sequence[Sequence[str]]) -> list[tuple[list[str], list[list[str]]]]:
    if isinstance(captions, str) or isinstance(references, str) or any(isinstance(one, str) for one in references):
        raise TypeError("captions must be a list of texts, references a list of lists of texts")
    if len(captions) != len(references) or not len(captions):
        raise ValueError(
            f"{len(captions)} captions and {len(references)} lists of references do not fit, or there are none"
        )
    items = [(tokens(text), [tokens(one) for one in known]) for text, known in zip(captions, references, strict=True)]
    for row, (words, known) in enumerate(items):
        if not words or not known or not all(known):
            raise ValueError(f"item {row} has a caption or a reference without words, or no reference")
    return items


def _ngrams(words: list[str], n: int) -> Counter[Ngram]:
    return Counter(tuple(words[start : start + n]) for start in range(len(words) - n + 1))


def _common_subsequence(one: list[str], two: list[str]) -> int:
    row = [0] * (len(two) + 1)
    for word in one:
        diagonal = 0
        for column, other in enumerate(two, 1):
            diagonal, row[column] = row[column], diagonal + 1 if word == other else max(row[column], row[column - 1])
    return row[-1]


def _weighted(words: list[str], spread: Counter[Ngram], items: int) -> list[dict[Ngram, float]]:
    """Weights of the 1-grams, 2-grams, ... of a text: count times log(items / items that have it)."""
    return [
        {gram: count * math.log(items / max(1, spread[gram])) for gram, count in _ngrams(words, n).items()}
        for n in range(1, _LONGEST + 1)
    ]


def _cosine(one: dict[Ngram, float], two: dict[Ngram, float], clipped: bool) -> float:
    lengths = math.hypot(*one.values()) * math.hypot(*two.values())
    shared = sum(
        (min(value, two[gram]) if clipped else value) * two[gram] for gram, value in one.items() if gram in two
    )
    return shared / lengths if lengths else 0.0


def _meteor_of(words: list[str], reference: list[str]) -> float:
    matches, chunks = _aligned(words, reference)
    if not matches:
        return 0.0
    precision, recall = matches / len(words), matches / len(reference)
    return precision * recall / (0.9 * precision + 0.1 * recall) * (1 - 0.5 * (chunks / matches) ** 3)


def _aligned(words: list[str], reference: list[str]) -> tuple[int, int]:
    """How many words match one to one, and in how many runs that are contiguous in both texts."""
    free, target = [True] * len(words), [True] * len(reference)
    matches = chunks = 0
    while True:
        length, start, begin = max(
            (_run(words, reference, free, target, i, j), -i, -j)
            for i in range(len(words))
            for j in range(len(reference))
        )
        if not length:
            return matches, chunks
        for step in range(length):
            free[step - start] = target[step - begin] = False
        matches, chunks = matches + length, chunks + 1


def _run(words: list[str], reference: list[str], free: list[bool], target: list[bool], i: int, j: int) -> int:
    length = 0
    while (
        i + length < len(words)
        and j + length < len(reference)
        and free[i + length]
        and target[j + length]
        and words[i + length] == reference[j + length]
    ):
        length += 1
    return length
