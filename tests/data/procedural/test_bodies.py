"""SK-1 and RID-1: bones keep their lengths, partners differ in one thing, seeds repeat."""

import numpy as np
import pytest
import torch

from privkd.data import Skeletons
from privkd.data.procedural import pedestrians, stick_figures
from privkd.data.procedural.bodies import ACTIONS, EDGES, JOINTS, ORDER_PAIRS, _angles, _bodies
from privkd.data.procedural.draws import Draws


def ideal(seed=0):
    """Each action once, without noise, by a body of standard proportions, shape (8, 40, 15, 3)."""
    return _bodies(_angles(np.arange(8), 40, Draws("test", seed)), np.ones((8, 2)))


def test_figures_are_skeletons_with_balanced_classes():
    data = stick_figures()
    assert isinstance(data, Skeletons)
    assert data.joints.shape == (640, 32, 15, 3)
    assert data.labels.bincount().tolist() == [80] * 8
    assert data.class_names == ACTIONS
    assert len(JOINTS) == 15
    assert data.edges == EDGES


def test_a_tenth_of_the_joints_is_missing_and_the_noise_is_two_percent():
    data, clean = stick_figures(160), stick_figures(160, noise=0.0, dropped=0.0)
    missing = (data.joints == 0).all(3)
    n = missing.numel()
    assert abs(missing.float().mean().item() - 0.1) < 4 * np.sqrt(0.09 / n)
    noise = (data.joints - clean.joints)[~missing]
    assert abs(noise.std().item() - 0.032) < 0.001
    assert not (clean.joints == 0).all(3).any()


def test_bones_keep_their_lengths_over_time():
    joints = ideal()
    for a, b in EDGES:
        lengths = np.linalg.norm(joints[:, :, a] - joints[:, :, b], axis=-1)
        assert np.ptp(lengths) < 1e-9, (JOINTS[a], JOINTS[b])


@pytest.mark.parametrize(
    ("action", "hand", "goal"),
    [
        (0, "right hand", "head"),
        (2, "left hand", "head"),
        (1, "right hand", "right foot"),
        (3, "left hand", "left foot"),
    ],
)
def test_the_hand_that_the_class_names_comes_near_its_goal_and_the_partner_does_not(action, hand, goal):
    joints = ideal()
    partner = action + 1 if action % 2 == 0 else action - 1
    gaps = np.linalg.norm(joints[:, :, JOINTS.index(hand)] - joints[:, :, JOINTS.index(goal)], axis=-1).min(axis=1)
    assert gaps[action] < 0.5
    assert gaps[action] < gaps[partner] - 0.1


def test_order_pairs_do_the_same_in_another_order():
    joints = ideal()
    for first, second in ORDER_PAIRS:
        activity = np.linalg.norm(np.diff(joints[[first, second]], axis=1), axis=-1).sum(-1)
        assert np.abs(activity[0].sum() / activity[1].sum() - 1) < 0.25
    # "raise" lifts the hand above the head; it comes early in one and late in the other
    height = joints[[4, 5], :, JOINTS.index("right hand"), 1].argmax(axis=1)
    assert height[0] < height[1] - 5
    kicks = joints[[6, 7], :, JOINTS.index("right foot"), 1].argmax(axis=1)
    assert kicks[0] < kicks[1] - 5


def test_headings_are_random_and_heights_of_the_hip_are_not_moved_by_them():
    data = stick_figures(400, noise=0.0, dropped=0.0)
    across = data.joints[:, 0, 3] - data.joints[:, 0, 6]  # from the right to the left shoulder
    angle = torch.atan2(across[:, 2], across[:, 0])
    assert abs(torch.cos(angle).mean().item()) < 4 * 0.71 / 20
    assert abs(across[:, 1]).max() < 1e-5


def test_figures_repeat_with_the_seed_and_split_by_subject():
    first, again, other = (stick_figures(32, seed=s) for s in (1, 1, 2))
    assert torch.equal(first.joints, again.joints)
    assert not torch.equal(first.joints, other.joints)
    one, two = stick_figures(200).split(0.5, by="subject")
    assert not set(one.subjects.tolist()) & set(two.subjects.tolist())
    clean = stick_figures(640, noise=0.0, dropped=0.0).joints
    assert round(clean[:, :, 0, 1].mean().item(), 1) == 0.8
    assert round(clean[:, :, 2, 1].mean().item(), 1) == 1.5


@pytest.mark.parametrize("settings", [{"count": 0}, {"frames": 7}, {"noise": -1.0}, {"dropped": 1.0}, {"seed": -1}])
def test_bad_settings_of_figures_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings)) if "count" not in settings else "count"):
        stick_figures(**settings)


@pytest.mark.parametrize("domain", ["A", "B"])
def test_pedestrians_have_shapes_cameras_and_pairs(domain):
    seen = pedestrians(6, 8, domain=domain)
    assert seen.images.shape == (48, 3, 48, 24)
    assert 0 <= seen.images.min() <= seen.images.max() <= 1
    assert seen.identities.bincount().tolist() == [8] * 6
    for person in range(6):
        assert seen.cameras[seen.identities == person].bincount().tolist() == [2] * 4
    assert len(seen.differing) == 3
    assert set(seen.differing) <= {"shoes", "bag"}
    assert list(seen.columns()) == ["input", "label", "camera"]


def test_partners_differ_in_one_part_only():
    seen = pedestrians(12, 120)
    means = torch.stack([seen.images[seen.identities == k].median(0).values for k in range(12)])
    for pair, part in enumerate(seen.differing):
        gap = (means[2 * pair] - means[2 * pair + 1]).abs().mean(0)
        rows = gap.mean(1)
        below = rows[36:].mean() / rows[16:32].mean()
        assert (below > 1) == (part == "shoes")
    strangers = (means[0] - means[2]).abs().mean()
    assert strangers > 1.5 * (means[0] - means[1]).abs().mean()


def test_cameras_change_the_colours_in_the_same_way_for_everybody():
    seen = pedestrians(20, 40)
    tones = torch.stack([seen.images[seen.cameras == c].mean((0, 2, 3)) for c in range(4)])
    assert torch.pdist(tones).min() > 0.02
    again = pedestrians(20, 40, seed=1)
    other = torch.stack([again.images[again.cameras == c].mean((0, 2, 3)) for c in range(4)])
    assert (tones - other).abs().max() < 0.06


def test_pedestrians_repeat_with_the_seed_and_refuse_bad_settings():
    first, again, other = (pedestrians(4, 2, seed=s).images for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    for settings, named in (
        ({"people": 3}, "even"),
        ({"people": 0}, "people"),
        ({"domain": "C"}, "dom"),
        ({"seed": -1}, "seed"),
    ):
        with pytest.raises(ValueError, match=named):
            pedestrians(**settings)
