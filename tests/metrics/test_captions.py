"""Caption measures against the COCO evaluation, brute force on short texts, and known cases."""

from itertools import combinations, permutations

import numpy as np
import pytest

from privkd.metrics import bleu, cider, meteor, rouge_l, score_captions, tokens
from privkd.metrics.captions import _aligned, _common_subsequence

WORDS = [
    "the",
    "a",
    "dog",
    "cat",
    "photo",
    "soft",
    "bright",
    "dark",
    "colours",
    "sky",
    "blur",
    "light",
    "is",
    "of",
    "nice",
]


def corpus(seed, items=12):
    random = np.random.default_rng(seed)

    def text():
        return " ".join(random.choice(WORDS, size=random.integers(4, 12)))

    references = [[text() for _ in range(random.integers(1, 4))] for _ in range(items)]
    captions = []
    for known in references:  # a reference with some words replaced
        words = known[0].split()
        captions.append(" ".join(word if random.random() < 0.7 else str(random.choice(WORDS)) for word in words))
    return captions, references


def coco(captions, references):
    return {i: [" ".join(tokens(one))] for i, one in enumerate(captions)}, {
        i: [" ".join(tokens(one)) for one in known] for i, known in enumerate(references)
    }


@pytest.mark.parametrize("seed", range(3))
def test_bleu_rouge_and_cider_d_are_those_of_the_coco_evaluation(seed):
    pytest.importorskip("pycocoevalcap")
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    captions, references = corpus(seed)
    result, truth = coco(captions, references)
    assert bleu(captions, references) == pytest.approx(Bleu(4).compute_score(truth, result, verbose=0)[0], rel=1e-6)
    assert rouge_l(captions, references) == pytest.approx(Rouge().compute_score(truth, result)[0], abs=1e-12)
    assert cider(captions, references, clipped=True) == pytest.approx(Cider().compute_score(truth, result)[0], abs=1e-9)


def test_plain_cider_is_the_cosine_of_weighted_counts():
    captions, references = corpus(0, items=6)
    texts = [[tokens(one) for one in known] for known in references]
    total = []
    for caption, known in zip(captions, texts, strict=True):
        for n in (1, 2, 3, 4):
            grams = sorted(
                {tuple(w[i : i + n]) for k in [*texts, [tokens(caption)]] for w in k for i in range(len(w) - n + 1)}
            )
            spread = np.array([sum(any(g in _grams(w, n) for w in k) for k in texts) for g in grams])
            weight = np.log(len(texts) / np.maximum(spread, 1))
            vectors = [np.array([_grams(w, n).count(g) for g in grams]) * weight for w in [tokens(caption), *known]]
            cosines = [vectors[0] @ v / (np.linalg.norm(vectors[0]) * np.linalg.norm(v) or 1) for v in vectors[1:]]
            total.append(10 * np.mean(cosines) / 4)
    assert cider(captions, references) == pytest.approx(sum(total) / len(captions))
    assert cider(captions, references) != pytest.approx(cider(captions, references, clipped=True))


def _grams(words, n):
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def test_bleu_of_the_paper_counts_a_repeated_word_as_often_as_a_reference_has_it():
    captions = ["the the the the the the the"]
    references = [["the cat is on the mat", "there is a cat on the mat"]]
    assert bleu(captions, references)[0] == pytest.approx(2 / 7)


def test_short_captions_pay_and_long_ones_lose_precision():
    reference = [["a soft blur of the dark sky"]]
    short = bleu(["a soft blur"], reference)[0]
    assert short == pytest.approx(np.exp(1 - 7 / 3))
    assert bleu(["a soft blur of the dark sky is nice is nice"], reference)[0] == pytest.approx(7 / 11)


def slow_subsequence(one, two):
    return max(n for n in range(len(one) + 1) if any(_is_in(part, two) for part in combinations(one, n)))


def _is_in(part, words):
    rest = iter(words)
    return all(word in rest for word in part)


def slow_alignment(words, reference):
    """Matches and fewest chunks over all ways to match words one to one, as many as possible."""
    best = (0, 0)
    for size in range(min(len(words), len(reference)), 0, -1):
        for left in combinations(range(len(words)), size):
            for right in permutations(range(len(reference)), size):
                if all(words[i] == reference[j] for i, j in zip(left, right, strict=True)):
                    chunks = 1 + sum(
                        not (i2 == i1 + 1 and j2 == j1 + 1)
                        for i1, i2, j1, j2 in zip(left, left[1:], right, right[1:], strict=False)
                    )
                    best = max(best, (size, -chunks))
        if best[0]:
            return best[0], -best[1]
    return 0, 0


def test_subsequences_and_alignments_are_those_of_brute_force():
    random = np.random.default_rng(0)
    more = 0
    for _ in range(60):
        one, two = (list(random.choice(list("abcd"), size=random.integers(1, 6))) for _ in range(2))
        assert _common_subsequence(one, two) == slow_subsequence(one, two)
        matches, chunks = _aligned(one, two)
        fewest = slow_alignment(one, two)
        assert matches == fewest[0]
        assert chunks >= fewest[1]
        more += chunks > fewest[1]
    assert more <= 3  # longest runs first is not always the fewest runs


def test_a_copy_is_perfect_and_another_text_is_not():
    texts = ["a soft blur of sky", "dark colours of the photo"]
    found = score_captions(texts, [[one] for one in texts])
    assert found.bleu == pytest.approx((1, 1, 1, 1))
    assert found.rouge_l == pytest.approx(1.0)
    assert found.cider == pytest.approx(10.0)
    assert found.meteor == pytest.approx(1 - 0.5 / 5**3)  # one chunk of five words
    wrong = score_captions(texts[::-1], [[one] for one in texts])
    assert max(wrong.bleu) < 0.3
    assert wrong.cider < 1
    assert wrong.meteor < 0.4


def test_a_scrambled_caption_keeps_bleu_1_and_loses_the_others():
    reference = [["a soft blur of the dark sky"], ["the light is nice"]]
    good, scrambled = (
        ["a soft blur of the dark sky", "the light is nice"],
        ["sky dark the of blur soft a", "nice is light the"],
    )
    assert bleu(scrambled, reference)[0] == bleu(good, reference)[0] == 1.0
    assert bleu(scrambled, reference)[1] == 0.0
    assert meteor(scrambled, reference) < 0.6 < meteor(good, reference)
    assert rouge_l(scrambled, reference) < 0.3


def test_case_and_punctuation_do_not_count():
    assert tokens("It's a CAT, no. 5 -- café!") == ["it's", "a", "cat", "no", "5", "café"]


@pytest.mark.parametrize(
    ("captions", "references", "error", "match"),
    [
        ([], [], ValueError, "none"),
        (["a"], [["a"], ["b"]], ValueError, "do not fit"),
        (["a", ""], [["a"], ["b"]], ValueError, "item 1"),
        (["a", "b"], [["a"], []], ValueError, "item 1"),
        (["a", "b"], [["a"], ["..."]], ValueError, "item 1"),
        (["a"], [["a"]], ValueError, "give two or more"),
        (["a", "b"], ["a", "b"], TypeError, "lists of texts"),
        ("ab", [["a"], ["b"]], TypeError, "list of texts"),
    ],
)
def test_captions_that_cannot_be_scored_are_refused(captions, references, error, match):
    with pytest.raises(error, match=match):
        cider(captions, references)
