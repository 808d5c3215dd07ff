"""Paired, masked and damaged faces, and the protocol LR8."""

import pytest
import torch

from privkd.data import PairedViews
from privkd.data.degradations import area
from privkd.data.procedural import damaged_faces, lr8, masked_faces, paired_faces, syn_faces


def test_low_views_are_the_pooled_high_views_plus_noise():
    views = paired_faces(10, 8)
    assert isinstance(views, PairedViews)
    gap = views.low - area(views.high, 4)
    assert abs(gap.std().item() - 0.02) < 0.001
    assert torch.equal(paired_faces(10, 8, noise=0.0).low, area(views.high, 4))
    assert torch.equal(views.high, syn_faces(10, 8)[0])


def test_pairs_repeat_with_the_seed():
    first, again, other = (paired_faces(3, 2, seed=s) for s in (1, 1, 2))
    assert torch.equal(first.low, again.low)
    assert not torch.equal(first.low, other.low)


def test_a_split_by_identity_shares_nobody():
    first, second = paired_faces(10, 3).split(0.7, by="identity")
    assert len(first) == 21
    assert not set(first.labels.tolist()) & set(second.labels.tolist())


def test_damaged_views_are_marked_and_the_others_are_untouched():
    clean, views = paired_faces(40, 20), paired_faces(40, 20, damaged=0.35)
    bad = views.columns()["damaged"]
    assert bad.dtype == torch.bool
    # 800 draws of 0.35: standard deviation 0.0169
    assert abs(bad.float().mean().item() - 0.35) < 4 * 0.0169
    assert torch.equal(views.high[~bad], clean.high[~bad])
    assert torch.equal(views.low, clean.low), "what the student sees stays right"
    assert ((views.high[bad] - clean.high[bad]).abs().mean((1, 2, 3)) > 0.01).all()
    assert "damaged" not in clean.columns()


def test_half_of_the_damage_is_noise_and_half_strangers():
    images, _ = syn_faces(50, 20, seed=3)
    damaged, bad = damaged_faces(images, share=1.0, seed=3)
    assert bad.all()
    rough = (damaged[:, 0, :, 1:] - damaged[:, 0, :, :-1]).abs().mean((1, 2))
    noisy = rough > 0.1  # uniform noise of width 0.5 has mean neighbour differences of 0.5 / 3
    assert abs(noisy.float().mean().item() - 0.5) < 4 * 0.5 / 1000**0.5
    remains = damaged[noisy] - 0.25 * images[noisy]
    assert remains.min() >= -1e-6
    assert remains.max() <= 0.5 + 1e-6
    assert torch.equal(damaged_faces(images, share=0.0)[0], images)


def test_masked_views_differ_where_the_occlusion_says():
    views = masked_faces(4, 3)
    occluded = views.columns()["occlusion"].bool()
    assert torch.equal(views.low[~occluded], views.high[~occluded])
    assert not torch.equal(views.low, views.high)


def test_lr8_has_the_sizes_of_the_protocol_and_labels_where_they_belong():
    protocol = lr8()
    assert (len(protocol.labelled), len(protocol.unlabelled), len(protocol.test)) == (200, 1600, 1000)
    assert (protocol.labelled.classes, protocol.test.classes) == (20, 100)
    assert (protocol.unlabelled.labels == -1).all()
    for part in (protocol.labelled, protocol.unlabelled, protocol.test):
        assert part.high.shape[1:] == (1, 32, 32)
        assert part.low.shape[1:] == (1, 8, 8)
    assert not torch.equal(protocol.labelled.high[0], protocol.test.high[0])


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="factor=5 does not divide"):
        paired_faces(2, 2, factor=5)
    with pytest.raises(ValueError, match="damaged"):
        paired_faces(2, 2, damaged=1.5)
    with pytest.raises(ValueError, match="seed"):
        lr8(seed=-1)
    with pytest.raises(ValueError, match="square grey faces"):
        damaged_faces(torch.zeros(1, 3, 8, 8))
    with pytest.raises(ValueError, match="share"):
        damaged_faces(torch.zeros(1, 1, 8, 8), share=-0.1)
