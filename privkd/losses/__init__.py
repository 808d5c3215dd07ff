"""Losses that systems share: each exists once, takes rows first, and averages over the rows that count."""

from typing import TYPE_CHECKING

from accountants import lazy_door

if TYPE_CHECKING:
    from privkd.losses.boxes import box_l1 as box_l1
    from privkd.losses.boxes import ciou as ciou
    from privkd.losses.boxes import giou as giou
    from privkd.losses.boxes import iou as iou
    from privkd.losses.boxes import overlap_loss as overlap_loss
    from privkd.losses.classification import cosine_cross_entropy as cosine_cross_entropy
    from privkd.losses.classification import cross_entropy as cross_entropy
    from privkd.losses.classification import mixup_loss as mixup_loss
    from privkd.losses.contrast import FeatureQueue as FeatureQueue
    from privkd.losses.contrast import info_nce as info_nce
    from privkd.losses.contrast import supcon as supcon
    from privkd.losses.correction import backward_nll as backward_nll
    from privkd.losses.correction import forward_nll as forward_nll
    from privkd.losses.correction import likelihood_nll as likelihood_nll
    from privkd.losses.correction import posterior as posterior
    from privkd.losses.correction import reweight_nll as reweight_nll
    from privkd.losses.discrepancy import mean_match as mean_match
    from privkd.losses.discrepancy import mmd as mmd
    from privkd.losses.distillation import MapFeature as MapFeature
    from privkd.losses.distillation import feature_distance as feature_distance
    from privkd.losses.distillation import kl as kl
    from privkd.losses.distillation import logit_kd as logit_kd
    from privkd.losses.ordinal import cumulative_js as cumulative_js
    from privkd.losses.ordinal import emd as emd
    from privkd.losses.ordinal import jensen_shannon as jensen_shannon
    from privkd.losses.ordinal import kurtosis_weights as kurtosis_weights
    from privkd.losses.relation_contrast import RelationContrast as RelationContrast
    from privkd.losses.relations import relation2 as relation2
    from privkd.losses.relations import relation3 as relation3
    from privkd.losses.relations import relation_softmax as relation_softmax
    from privkd.losses.score_maps import focal as focal
    from privkd.losses.score_maps import heatmap_focal as heatmap_focal

__getattr__, __dir__, __all__ = lazy_door(
    __name__,
    {
        "privkd.losses.boxes": "box_l1 ciou giou iou overlap_loss",
        "privkd.losses.classification": "cosine_cross_entropy cross_entropy mixup_loss",
        "privkd.losses.contrast": "FeatureQueue info_nce supcon",
        "privkd.losses.correction": "backward_nll forward_nll likelihood_nll posterior reweight_nll",
        "privkd.losses.discrepancy": "mean_match mmd",
        "privkd.losses.distillation": "MapFeature feature_distance kl logit_kd",
        "privkd.losses.ordinal": "cumulative_js emd jensen_shannon kurtosis_weights",
        "privkd.losses.relation_contrast": "RelationContrast",
        "privkd.losses.relations": "relation2 relation3 relation_softmax",
        "privkd.losses.score_maps": "focal heatmap_focal",
    },
)
