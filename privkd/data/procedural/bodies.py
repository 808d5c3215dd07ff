"""Stick figures that act: pairs of classes that only coordination, or only the order of what is done, tells apart.

Specification: SK-1 of this project. The body, its angles and the eight actions are ours: four differ from their partner in which
joints move together, four in which of two movements comes first.
"""

import numpy as np
import torch

from accountants import check
from privkd.data.kinds.skeletons import Skeletons
from privkd.data.procedural.draws import Draws

JOINTS = (
    "hip",
    "chest",
    "head",
    *("left shoulder", "left elbow", "left hand"),
    *("right shoulder", "right elbow", "right hand"),
    *("left hip", "left knee", "left foot"),
    *("right hip", "right knee", "right foot"),
)
EDGES = (
    *((0, 1), (1, 2), (1, 3), (3, 4), (4, 5), (1, 6), (6, 7)),
    *((7, 8), (0, 9), (9, 10), (10, 11), (0, 12), (12, 13), (13, 14)),
)
ACTIONS = (
    "right hand to head",
    "right hand to foot",
    "left hand to head",
    "left hand to foot",
    "raise then wave",
    "wave then raise",
    "kick then squat",
    "squat then kick",
)
"""Names of the classes; 2k and 2k + 1 are a pair."""
ORDER_PAIRS = ((4, 5), (6, 7))
"""Classes that contain the same movements in another order."""

_ANGLES = (
    10  # lean; shoulder forward, shoulder sideways, elbow of the left, then of the right arm; thighs, knees; right kick
)
_LEAN, _LEFT, _RIGHT, _SQUAT, _KICK = 0, 1, 4, 7, 8
_TORSO, _NECK, _UPPER_ARM, _FOREARM, _THIGH, _SHIN, _SHOULDERS, _HIPS = 0.5, 0.25, 0.28, 0.27, 0.42, 0.42, 0.18, 0.1
_SUBJECTS = 10


def stick_figures(
    count: int = 640, *, frames: int = 32, noise: float = 0.02, dropped: float = 0.1, seed: int = 0
) -> Skeletons:
    """Clips of a moving body with 15 joints and eight classes, each `count / 8` times up to one.

    Every clip has a random heading, a speed U(.8, 1.2) and one of ten subjects with proportions of their own.

    Args:
        count: number of clips, >= 1.
        frames: of each clip, >= 8.
        noise: standard deviation of the noise of each coordinate, in body heights (1.6 units up to proportions), >= 0.
        dropped: probability that a joint is missing in a frame; its coordinates are 0. In [0, 1).
        seed: integer >= 0.

    Returns:
        Positions x (left), y (up from the floor), z, subjects 0..9, bones `EDGES`, class names `ACTIONS`.

    Raises:
        TypeError: count, frames or seed is no integer.
        ValueError: an argument is out of range.

    Example:
        >>> stick_figures(16)
        Skeletons(name='stick-figures', n=16, frames=32, joints=15, dimensions=3, bones=14)
    """
    check.integer(count=count, at_least=1)
    check.integer(frames=frames, at_least=8)
    check.real(noise=noise, at_least=0.0)
    check.real(dropped=dropped, at_least=0.0, below=1.0)
    draws = Draws("stick figures", seed)
    labels = (np.arange(count) % len(ACTIONS))[draws.order(count)]
    subjects = draws.below(_SUBJECTS, count)
    proportions = draws.uniform(0.85, 1.15, _SUBJECTS, 2)[subjects]  # of trunk and limbs
    joints = _bodies(_angles(labels, frames, draws), proportions)
    heading = draws.uniform(0.0, 2 * np.pi, count)[:, None, None]
    x, z = joints[..., 0].copy(), joints[..., 2].copy()
    joints[..., 0], joints[..., 2] = (
        x * np.cos(heading) + z * np.sin(heading),
        z * np.cos(heading) - x * np.sin(heading),
    )
    joints += 1.6 * noise * draws.gaussian(*joints.shape)
    joints[draws.uniform(0.0, 1.0, *joints.shape[:3]) < dropped] = 0.0
    return Skeletons(
        torch.from_numpy(joints.astype(np.float32)),
        torch.full((count,), frames),
        torch.from_numpy(labels.astype(np.int64)),
        "stick-figures",
        EDGES,
        torch.from_numpy(subjects),
        ACTIONS,
    )


def _angles(labels: np.ndarray, frames: int, draws: Draws) -> np.ndarray:
    """Angles of all joints over time, radians, shape (n, frames, 10): sinusoidal movements in two halves of the action."""
    n = len(labels)
    speed, late = draws.uniform(0.8, 1.2, n, 1), draws.uniform(0.0, 0.1, n, 1)
    reach = draws.uniform(0.85, 1.15, n, 1)  # how far this one goes
    time = speed * (np.arange(frames) / frames) - late  # the action lasts from 0 to 0.8 of its own time
    first, second = _bump(time, 0.0, 0.4), _bump(time, 0.4, 0.8)
    whole = _bump(time, 0.0, 0.8)
    angles = np.zeros((n, frames, _ANGLES))
    # a body at rest sways
    angles += 0.04 * np.sin(2 * np.pi * (time[:, :, None] + draws.uniform(0.0, 1.0, n, 1, _ANGLES)))
    for arm, to_head, to_foot in ((_RIGHT, 0, 1), (_LEFT, 2, 3)):
        head, foot = (labels == to_head)[:, None] * reach * whole, (labels == to_foot)[:, None] * reach * whole
        angles[:, :, arm] += 1.9 * head + 1.0 * foot
        angles[:, :, arm + 2] += 2.2 * head
        angles[:, :, _LEAN] += 1.45 * foot
        angles[:, :, _SQUAT] += 0.8 * foot
    for one, before, after in ((4, first, second), (5, second, first)):
        chosen = (labels == one)[:, None] * reach
        wave = np.sin(2 * np.pi * time / 0.13)
        angles[:, :, _RIGHT + 1] += chosen * (2.6 * before + 1.3 * after)
        angles[:, :, _RIGHT + 2] += chosen * after * (0.9 + 0.8 * wave)
    for one, before, after in ((6, first, second), (7, second, first)):
        chosen = (labels == one)[:, None] * reach
        angles[:, :, _KICK] += chosen * 1.2 * before
        angles[:, :, _SQUAT] += chosen * 1.1 * after
    return angles


def _bump(time: np.ndarray, start: float, end: float) -> np.ndarray:
    """sin^2 from 0 over 1 to 0 between start and end, else 0."""
    share = (time - start) / (end - start)
    return np.where((share > 0) & (share < 1), np.sin(np.pi * share) ** 2, 0.0)


def _along(forward: np.ndarray, sideways: np.ndarray) -> np.ndarray:
    """A direction that hangs down at 0 and is lifted forward (towards +z) and sideways (towards +x), radians."""
    up = -np.cos(forward) * np.cos(sideways)
    return np.stack([np.sin(sideways), up, np.sin(forward) * np.cos(sideways)], axis=-1)


def _bodies(angles: np.ndarray, proportions: np.ndarray) -> np.ndarray:
    """Forward kinematics: positions of the joints, shape (n, frames, 15, 3), of bodies that look along +z."""
    trunk, limbs = proportions.T[:, :, None, None]
    zero = np.zeros(angles.shape[:2])
    lean, squat, kick = angles[:, :, _LEAN], angles[:, :, _SQUAT].clip(0), angles[:, :, _KICK]
    upwards = np.stack([zero, np.cos(lean), np.sin(lean)], axis=-1)
    left = np.array([1.0, 0.0, 0.0])
    joints = np.zeros((*angles.shape[:2], len(JOINTS), 3))
    height = (
        limbs[..., 0] * (_THIGH + _SHIN) * np.cos(squat)
    )  # feet stay on the floor: thigh forward, shin back by the same
    joints[:, :, 0, 1] = height
    hip = joints[:, :, 0]
    joints[:, :, 1] = chest = hip + _TORSO * trunk * upwards
    joints[:, :, 2] = chest + _NECK * trunk * upwards
    for shoulder, arm, side in ((3, _LEFT, 1.0), (6, _RIGHT, -1.0)):
        forward, sideways, elbow = (angles[:, :, arm + k] for k in range(3))
        joints[:, :, shoulder] = chest + side * _SHOULDERS * trunk * left
        hanging = forward - lean  # an arm that does nothing lies along the trunk
        upper = _along(hanging, side * sideways)
        raised = np.abs(sideways) > np.abs(forward)  # the elbow bends in the plane in which the arm is lifted
        lower = np.where(
            raised[..., None], _along(hanging, side * (sideways + elbow)), _along(hanging + elbow, side * sideways)
        )
        joints[:, :, shoulder + 1] = joints[:, :, shoulder] + _UPPER_ARM * limbs * upper
        joints[:, :, shoulder + 2] = joints[:, :, shoulder + 1] + _FOREARM * limbs * lower
    for top, side, lifted in ((9, 1.0, zero), (12, -1.0, kick)):
        joints[:, :, top] = hip + side * _HIPS * trunk * left
        joints[:, :, top + 1] = joints[:, :, top] + _THIGH * limbs * _along(squat + lifted, zero)
        joints[:, :, top + 2] = joints[:, :, top + 1] + _SHIN * limbs * _along(-squat + lifted, zero)
    return joints
