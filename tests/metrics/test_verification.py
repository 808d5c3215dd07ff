"""Verification and identification against loops, with stubs that must fail and real faces."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from privkd.metrics import (
    Pairs,
    closed_set_identification,
    draw_pairs,
    match_rates,
    open_set_identification,
    pair_cosines,
    relation_correlation,
    require_disjoint_identities,
    verify_pairs,
)

PEOPLE = np.repeat(np.arange(20), 10)


def embeddings(seed=0, noise=0.6, people=PEOPLE, dim=16):
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(people.max() + 1, dim))
    return centres[people] + noise * generator.normal(size=(len(people), dim))


def test_cosines_are_those_of_a_loop_over_two_views():
    high, low = embeddings(0), embeddings(1)
    pairs = draw_pairs(PEOPLE, pairs=40, seed=0)
    for score, i, j in zip(pair_cosines(high, low, pairs), pairs.first, pairs.second, strict=True):
        assert math.isclose(score, high[i] @ low[j] / np.linalg.norm(high[i]) / np.linalg.norm(low[j]), abs_tol=1e-12)


def slow_accuracies(scores, same, fold):
    """Every threshold between and around the scores is tried on the other folds; the lowest best one is kept."""
    found = []
    for number in sorted(set(fold.tolist())):
        rest = fold != number
        ladder = np.unique(scores[rest])
        tried = [ladder[0], *((ladder[1:] + ladder[:-1]) / 2), ladder[-1] + 1e-9]
        right = [((scores[rest] >= threshold) == same[rest]).mean() for threshold in tried]
        threshold = tried[int(np.argmax(right))]
        found.append(((scores[~rest] >= threshold) == same[~rest]).mean())
    return found


def test_folds_of_a_protocol_are_kept_and_each_is_judged_by_the_threshold_of_the_others():
    pairs = draw_pairs(PEOPLE, pairs=300, seed=1)
    scores = pair_cosines(embeddings(noise=1.2), embeddings(noise=1.2), pairs)
    fold = np.random.default_rng(5).integers(7, size=300)
    with pytest.warns(UserWarning, match="here are 150"):
        found = verify_pairs(scores, pairs.same, folds=fold)
    slow = slow_accuracies(scores, pairs.same, fold)
    assert found.accuracy == pytest.approx(np.mean(slow), abs=1e-12)
    assert found.standard_error == pytest.approx(np.std(slow, ddof=1) / math.sqrt(7), abs=1e-12)
    assert len(found.thresholds) == 7
    assert 0.5 < found.accuracy < 1
    assert math.isnan(found.tar[1e-2])
    assert 0 < found.tar[1e-1] < 1


def test_the_threshold_never_sees_its_test_fold():
    """In each fold the scores stand on another level: thresholds of the others are useless there, its own would be perfect."""
    same = np.tile([True, False], 30)
    fold = np.repeat([0, 1, 2], 20)
    scores = fold * 100.0 + same
    found = verify_pairs(scores, same, folds=fold, rates=())
    assert found.accuracy <= 0.5
    one_fold = scores[fold == 1]
    assert verify_pairs(one_fold, same[:20], folds=2, rates=()).accuracy == 1.0


def test_drawn_folds_are_even_seeded_and_hold_both_kinds():
    scores = np.random.default_rng(0).normal(size=100)
    same = np.arange(100) < 50
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one, again, other = (verify_pairs(scores, same, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_equal(vars(one), vars(again))
    assert one.thresholds != other.thresholds
    with pytest.raises(ValueError, match="folds=1"):
        verify_pairs(scores, same, folds=1)
    with pytest.raises(ValueError, match="one fold only"):
        verify_pairs(scores, same, folds=np.zeros(100, dtype=int))
    with pytest.raises(ValueError, match="all pairs are of one kind"):
        verify_pairs(scores, same, folds=same.astype(int))


def test_a_random_embedding_verifies_nobody_and_a_constant_one_says_so():
    pairs = draw_pairs(PEOPLE, pairs=1200, seed=0)
    noise = np.random.default_rng(1).normal(size=(200, 16))
    found = verify_pairs(pair_cosines(noise, noise, pairs), pairs.same, rates=(0.1,))
    assert abs(found.accuracy - 0.5) < 4.5 * 0.5 / math.sqrt(1200)
    constant = np.ones((200, 4))
    with pytest.warns(UserWarning, match="all scores are equal"):
        found = verify_pairs(np.round(pair_cosines(constant, constant, pairs), 6), pairs.same, rates=(0.1,))
    assert found.accuracy == pytest.approx(0.5)
    assert found.auc == 0.5


def test_match_rates_use_the_threshold_of_clean_pairs():
    found = match_rates(
        [0.45, 0.55, 0.56, 0.1], [1, 1, 0, 0], clean_scores=[0.9, 0.8, 0.2, 0.1], clean_same=[1, 1, 0, 0]
    )
    assert (found.threshold, found.false_match, found.false_non_match) == (0.5, 0.5, 0.5)


def test_relations_are_correlated_by_rank_over_pairs():
    teacher, student = embeddings(0), embeddings(0) @ np.random.default_rng(2).normal(size=(16, 8))
    cosines = []
    for x in (teacher, student):
        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        cosines.append([unit[i] @ unit[j] for i in range(len(unit)) for j in range(i)])
    assert relation_correlation(teacher, student) == pytest.approx(spearmanr(*cosines).statistic, abs=1e-9)
    assert relation_correlation(teacher, 3 * teacher) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="no order"):
        relation_correlation(teacher, np.ones((200, 3)))
    with pytest.raises(ValueError, match="rows of zeros, first row 0"):
        relation_correlation(np.zeros((5, 2)), teacher[:5])
    with pytest.raises(ValueError, match="rows=2"):
        relation_correlation(teacher[:2], teacher[:2])


@given(st.integers(0, 200), st.booleans())
def test_drawn_pairs_are_balanced_different_and_right(seed, ordered):
    people = np.array([0, 0, 0, 1, 1, 2, 5, 5])
    pairs = draw_pairs(people, pairs=10, seed=seed, ordered=ordered)
    assert len(pairs) == 10
    assert pairs.same.sum() == 5
    assert (pairs.first != pairs.second).all()
    np.testing.assert_array_equal(pairs.same, people[pairs.first] == people[pairs.second])
    couples = list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    assert len({couple if ordered else tuple(sorted(couple)) for couple in couples}) == 10


def test_pairs_depend_on_the_seed_alone_and_can_be_exhausted():
    people = np.array([0, 0, 1, 1, 2, 2])
    one, two, other = (draw_pairs(PEOPLE, pairs=100, seed=seed) for seed in (4, 4, 5))
    assert (one.first == two.first).all()
    assert not (one.first == other.first).all()
    assert draw_pairs(people, pairs=6, seed=0).same.sum() == 3
    with pytest.raises(ValueError, match="ask for at most 6"):
        draw_pairs(people, pairs=8, seed=0)
    with pytest.raises(ValueError, match="must be even"):
        draw_pairs(people, pairs=3, seed=0)
    with pytest.raises(ValueError, match="and 0 of"):
        draw_pairs([1, 1, 1], pairs=2, seed=0)


@pytest.mark.parametrize(
    ("first", "second", "same", "match"),
    [
        ([0, -1], [1, 2], [0, 1], "1 are negative"),
        ([0, 1], [1], [0, 1], "lengths differ"),
        ([0, 1], [1, 2], [1, 1], "one class only"),
    ],
)
def test_lists_of_pairs_that_cannot_be_verified_are_refused(first, second, same, match):
    with pytest.raises(ValueError, match=match):
        Pairs(np.array(first), np.array(second), np.array(same, dtype=bool))


def test_pairs_must_name_rows():
    with pytest.raises(ValueError, match="name row 9, but there are only 3"):
        pair_cosines(np.eye(3), np.eye(3), Pairs(np.array([0, 9]), np.array([1, 2]), np.array([False, True])))
    with pytest.raises(ValueError, match="shapes must be equal"):
        pair_cosines(np.eye(3), np.eye(4), Pairs(np.array([0, 1]), np.array([1, 2]), np.array([False, True])))


def test_people_who_are_in_two_parts_are_found_but_not_named():
    with pytest.raises(ValueError, match="train and test share 1 of 2 identities") as caught:
        require_disjoint_identities(train=[77, 2], validation=[5], test=[77, 9])
    assert "77" not in str(caught.value)
    with pytest.raises(ValueError, match="two parts"):
        require_disjoint_identities(train=[1])


def slow_rank(gallery, own, probe):
    cosines = [probe @ row / np.linalg.norm(row) for row in gallery]
    return sum(value >= cosines[own] for value in cosines)


def test_identification_is_that_of_a_loop():
    x, y = embeddings(0, noise=1.5), embeddings(0, noise=1.5)[:, :] + 0.3
    gallery, who = x[::10], PEOPLE[::10]
    shuffle = np.random.default_rng(0).permutation(20)
    ranks = np.array([slow_rank(gallery, PEOPLE[i], y[i]) for i in range(200)])
    found = closed_set_identification(gallery[shuffle], who[shuffle], y, PEOPLE, ranks=(1, 3, 5))
    assert found == {k: float((ranks <= k).mean()) for k in (1, 3, 5)}
    assert found[1] < found[5] < 1


def test_embeddings_that_are_all_equal_identify_nobody():
    assert closed_set_identification(np.ones((6, 2)), range(6), np.ones((9, 2)), [0] * 9) == {1: 0.0, 5: 0.0}


def slow_open_set(gallery, who, probes, people, far):
    """Every similarity, and infinity, is tried as threshold; the lowest with few enough alarms of strangers counts."""
    similarity = (
        probes
        / np.linalg.norm(probes, axis=1, keepdims=True)
        @ (gallery / np.linalg.norm(gallery, axis=1, keepdims=True)).T
    )
    top, best = similarity.max(axis=1), who[similarity.argmax(axis=1)]
    known = np.isin(people, who)
    for threshold in [*np.unique(top), np.inf]:
        if (top[~known] >= threshold).mean() <= far + 1e-12:
            return ((top[known] >= threshold) & (best[known] == people[known])).mean()
    return None


@pytest.mark.parametrize("far", [0.12, 0.25])
def test_open_set_identification_is_that_of_a_loop(far):
    x = embeddings(0, noise=1.2)
    gallery, who = x[::10][:10], PEOPLE[::10][:10]
    probes, people = np.delete(x, np.arange(0, 200, 10), axis=0), np.delete(PEOPLE, np.arange(0, 200, 10))
    found = open_set_identification(gallery, who, probes, people, far=far)
    assert found == pytest.approx(slow_open_set(gallery, who, probes, people, far))
    assert 0 < found < 1


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: closed_set_identification(np.eye(3), [0, 0, 1], np.eye(3), [0, 1, 1]), "repeats 1 identities"),
        (lambda: closed_set_identification(np.eye(3), [0, 1, 2], np.eye(3), [0, 1, 7], ranks=(1,)), "1 of 3 probes"),
        (lambda: closed_set_identification(np.eye(3), [0, 1, 2], np.eye(3), [0, 1, 2], ranks=(4,)), "rank_4=4"),
        (lambda: closed_set_identification(np.eye(3), [0, 1, 2], np.eye(2), [0, 1], ranks=(1,)), "one space"),
        (lambda: closed_set_identification(np.eye(3), [0, 1], np.eye(3), [0, 1, 1], ranks=(1,)), "lengths differ"),
        (lambda: open_set_identification(np.eye(3), [0, 1, 2], np.eye(3), [0, 1, 2], far=0.5), "no stranger"),
        (lambda: open_set_identification(np.eye(3), [0, 1, 2], np.eye(3), [7, 8, 9], far=0.5), "nobody of the gallery"),
    ],
)
def test_galleries_and_probes_that_do_not_fit_are_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_a_threshold_that_a_stranger_reaches_exactly_lies_above_that_stranger():
    probes, people = np.tile([2.0, 1.0], (21, 1)), np.array([0] + [9] * 20)
    found = open_set_identification(np.eye(2), np.array([0, 1]), probes, people, far=0.5)
    assert found == slow_open_set(np.eye(2), np.array([0, 1]), probes, people, 0.5) == 0.0
    probes[0] = [3.0, 1.0]
    assert open_set_identification(np.eye(2), np.array([0, 1]), probes, people, far=0.5) == 1.0


def test_few_strangers_tell_no_rate_of_alarms():
    with pytest.warns(UserWarning, match="at least 100 probes of strangers, here are 1"):
        assert math.isnan(open_set_identification(np.eye(2), [0, 1], np.eye(2), [0, 9], far=0.1))


def test_real_faces_are_verified_and_identified_better_than_chance_and_worse_in_low_resolution(shared_file):
    """ORL, raw pixels: 40 people, no learning. Shuffled identities must fall to chance."""
    with np.load(shared_file("data/orl_faces.npz")) as file:
        images, people = file["images"].astype(float), file["subject"].astype(int)
    high = images.reshape(400, -1) - images.mean()
    small = images.reshape(400, 8, 14, 4, 23).mean(axis=(2, 4))
    low = np.repeat(np.repeat(small, 14, axis=1), 23, axis=2).reshape(400, -1) - images.mean()
    pairs = draw_pairs(people, pairs=600, seed=0)
    clean, cross = pair_cosines(high, high, pairs), pair_cosines(high, low, pairs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        same, crossed = (verify_pairs(scores, pairs.same) for scores in (clean, cross))
        shuffled = verify_pairs(np.random.default_rng(0).permutation(clean), pairs.same)
    assert 0.80 < crossed.accuracy < same.accuracy < 0.97
    assert abs(shuffled.accuracy - 0.5) < 4.5 * 0.5 / math.sqrt(600)
    found = closed_set_identification(
        high[::10], people[::10], high[np.arange(400) % 10 > 0], people[np.arange(400) % 10 > 0]
    )
    assert 0.5 < found[1] < found[5] < 1
    require_disjoint_identities(train=people[:200], test=people[200:])
