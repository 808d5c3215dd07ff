"""Identification: whose picture is this? Against a gallery with one enrolled picture per identity.

Gallery and probes may come from two networks and two views: the teacher's embeddings of clean pictures against the student's
of degraded ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from accountants import check
from accountants.numerics.array_kinds import FloatArray
from privkd.metrics.inputs import Labels, integers, require_same_length
from privkd.metrics.roc import has_enough
from privkd.metrics.verification import unit_rows


def closed_set_identification(
    gallery: ArrayLike,
    gallery_identities: ArrayLike,
    probes: ArrayLike,
    probe_identities: ArrayLike,
    *,
    ranks: Sequence[int] = (1, 5),
) -> dict[int, float]:
    """The share of probes whose identity is among the k most similar of the gallery, for every k in `ranks`.

    Similarity is the cosine. Equal similarities count against the probe, so that embeddings that are all equal score 0.

    Args:
        gallery: one embedding per identity, no row of zeros, shape (g, d).
        gallery_identities: integers, no repeats, shape (g,).
        probes: embeddings, shape (n, d).
        probe_identities: integers, all of them in the gallery, shape (n,).
        ranks: each in [1, g].

    Raises:
        TypeError: not numbers, or identities that are no integers.
        ValueError: empty, NaN, shapes that do not fit, an identity twice in the gallery, a probe whose identity is not
            there, or a rank out of range.

    Example:
        >>> closed_set_identification([[1, 0], [0, 1]], [7, 8], [[2, 1], [1, 3]], [7, 8], ranks=(1,))
        {1: 1.0}
    """
    similarity, enrolled, wanted = _compared(gallery, gallery_identities, probes, probe_identities)
    check.integer(**{f"rank_{k}": k for k in ranks}, at_least=1, at_most=len(enrolled))
    missing = ~np.isin(wanted, enrolled)
    if missing.any():
        raise ValueError(
            f"{int(missing.sum())} of {len(wanted)} probes have identities that are not in the gallery; this is the closed set, "
            "see open_set_identification"
        )
    rank = _rank_of_own(similarity, enrolled, wanted)
    return {k: float((rank <= k).mean()) for k in ranks}


def open_set_identification(
    gallery: ArrayLike,
    gallery_identities: ArrayLike,
    probes: ArrayLike,
    probe_identities: ArrayLike,
    *,
    far: float,
) -> float:
    """The detection and identification rate (DIR) at a rate of false alarms (FAR), at rank 1.

    A probe raises an alarm if its highest similarity is at or above the threshold, the lowest at which at most `far` of the
    probes of strangers raise one. DIR is the share of the enrolled people's probes that raise an alarm and whose most
    similar gallery picture is their own; equal similarities count against them.

    Args:
        gallery: as for `closed_set_identification`.
        gallery_identities: as there.
        probes: embeddings, shape (n, d), of people in the gallery and of strangers.
        probe_identities: integers, shape (n,); who is not in the gallery is a stranger.
        far: in (0, 1).

    Returns:
        In [0, 1]; NaN, with a warning, if there are fewer than 10 / `far` probes of strangers.

    Raises:
        TypeError: as `closed_set_identification`.
        ValueError: as there, or no probe of a stranger, or none of an enrolled person.
    """
    check.real(far=far, above=0.0, below=1.0)
    similarity, enrolled, wanted = _compared(gallery, gallery_identities, probes, probe_identities)
    known = np.isin(wanted, enrolled)
    if known.all() or not known.any():
        who = "no stranger" if known.all() else "nobody of the gallery"
        raise ValueError(f"among the probes is {who}; the open set needs probes of both")
    if not has_enough(int((~known).sum()), far=far, what="probes of strangers"):
        return math.nan
    strangers = np.sort(similarity[~known].max(axis=1))[::-1]
    allowed = math.floor(far * len(strangers) + 1e-9)
    alarm = (
        similarity[known].max(axis=1) > strangers[allowed]
    )  # just above: equal ones would alarm for one stranger more
    right = _rank_of_own(similarity[known], enrolled, wanted[known]) == 1
    return float((alarm & right).mean())


def _compared(
    gallery: ArrayLike, gallery_identities: ArrayLike, probes: ArrayLike, probe_identities: ArrayLike
) -> tuple[FloatArray, Labels, Labels]:
    enrolled_rows, probe_rows = unit_rows(gallery, name="gallery"), unit_rows(probes, name="probes")
    enrolled = integers(gallery_identities, name="gallery_identities")
    wanted = integers(probe_identities, name="probe_identities")
    require_same_length(gallery=enrolled_rows, gallery_identities=enrolled)
    require_same_length(probes=probe_rows, probe_identities=wanted)
    if enrolled_rows.shape[1] != probe_rows.shape[1]:
        raise ValueError(
            f"gallery has {enrolled_rows.shape[1]} features, probes have {probe_rows.shape[1]}; both must live in one space"
        )
    repeated = len(enrolled) - len(np.unique(enrolled))
    if repeated:
        raise ValueError(
            f"gallery_identities repeats {repeated} identities; enrol one picture (or one mean) per identity"
        )
    return probe_rows @ enrolled_rows.T, enrolled, wanted


def _rank_of_own(similarity: FloatArray, enrolled: Labels, wanted: Labels) -> Labels:
    """From 1: how many gallery pictures are at least as similar as the own one, itself included."""
    order = np.argsort(enrolled)
    own = order[np.searchsorted(enrolled, wanted, sorter=order)]
    return (similarity >= np.take_along_axis(similarity, own[:, None], axis=1)).sum(axis=1)
