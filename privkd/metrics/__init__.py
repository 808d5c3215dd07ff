"""Measures of how good a model is: arrays or tensors in, floats or small frozen records out.

All of them refuse NaN, empty input, shapes that do not fit and labels of a single class, in words.
"""

from typing import TYPE_CHECKING

from accountants import lazy_door

if TYPE_CHECKING:
    from privkd.metrics.captions import CaptionScores as CaptionScores
    from privkd.metrics.captions import bleu as bleu
    from privkd.metrics.captions import cider as cider
    from privkd.metrics.captions import meteor as meteor
    from privkd.metrics.captions import rouge_l as rouge_l
    from privkd.metrics.captions import score_captions as score_captions
    from privkd.metrics.captions import tokens as tokens
    from privkd.metrics.classification import GroupedScores as GroupedScores
    from privkd.metrics.classification import ValidatedAccuracy as ValidatedAccuracy
    from privkd.metrics.classification import accuracy as accuracy
    from privkd.metrics.classification import accuracy_at_validated_threshold as accuracy_at_validated_threshold
    from privkd.metrics.classification import balanced_accuracy as balanced_accuracy
    from privkd.metrics.classification import best_threshold as best_threshold
    from privkd.metrics.classification import binary_accuracy as binary_accuracy
    from privkd.metrics.classification import top_k_accuracy as top_k_accuracy
    from privkd.metrics.classification import video_scores as video_scores
    from privkd.metrics.condensation import AugmentationRobustness as AugmentationRobustness
    from privkd.metrics.condensation import LabelRobustness as LabelRobustness
    from privkd.metrics.condensation import augmentation_robust_score as augmentation_robust_score
    from privkd.metrics.condensation import label_robust_score as label_robust_score
    from privkd.metrics.continual import IncrementalScores as IncrementalScores
    from privkd.metrics.continual import score_sessions as score_sessions
    from privkd.metrics.distributions import DistributionScores as DistributionScores
    from privkd.metrics.distributions import chi_squared as chi_squared
    from privkd.metrics.distributions import cumulative_js as cumulative_js
    from privkd.metrics.distributions import cut_accuracy as cut_accuracy
    from privkd.metrics.distributions import emd as emd
    from privkd.metrics.distributions import mean_ratings as mean_ratings
    from privkd.metrics.distributions import plcc as plcc
    from privkd.metrics.distributions import score_distributions as score_distributions
    from privkd.metrics.distributions import srcc as srcc
    from privkd.metrics.federated import Personalisation as Personalisation
    from privkd.metrics.federated import Reweighted as Reweighted
    from privkd.metrics.federated import generalisation as generalisation
    from privkd.metrics.federated import personalisation as personalisation
    from privkd.metrics.federated import reweighted_accuracy as reweighted_accuracy
    from privkd.metrics.identification import closed_set_identification as closed_set_identification
    from privkd.metrics.identification import open_set_identification as open_set_identification
    from privkd.metrics.interpretation import ConceptPurity as ConceptPurity
    from privkd.metrics.interpretation import PerturbationCurve as PerturbationCurve
    from privkd.metrics.interpretation import concept_purity as concept_purity
    from privkd.metrics.interpretation import mean_correlation as mean_correlation
    from privkd.metrics.interpretation import perturbation_curve as perturbation_curve
    from privkd.metrics.overlap import centre_distance as centre_distance
    from privkd.metrics.overlap import complete_iou as complete_iou
    from privkd.metrics.overlap import iou as iou
    from privkd.metrics.pairs import Pairs as Pairs
    from privkd.metrics.pairs import draw_pairs as draw_pairs
    from privkd.metrics.pairs import require_disjoint_identities as require_disjoint_identities
    from privkd.metrics.proposals import ProposalScores as ProposalScores
    from privkd.metrics.proposals import score_proposals as score_proposals
    from privkd.metrics.proposals import temporal_iou as temporal_iou
    from privkd.metrics.ranking import Retrieval as Retrieval
    from privkd.metrics.ranking import retrieval as retrieval
    from privkd.metrics.roc import RocCurve as RocCurve
    from privkd.metrics.roc import average_precision as average_precision
    from privkd.metrics.roc import equal_error_rate as equal_error_rate
    from privkd.metrics.roc import roc_auc as roc_auc
    from privkd.metrics.roc import roc_curve as roc_curve
    from privkd.metrics.roc import tar_at_far as tar_at_far
    from privkd.metrics.saliency import SaliencyScores as SaliencyScores
    from privkd.metrics.saliency import auc_judd as auc_judd
    from privkd.metrics.saliency import correlation as correlation
    from privkd.metrics.saliency import divergence as divergence
    from privkd.metrics.saliency import nss as nss
    from privkd.metrics.saliency import score_saliency as score_saliency
    from privkd.metrics.saliency import shuffled_auc as shuffled_auc
    from privkd.metrics.saliency import similarity as similarity
    from privkd.metrics.speed import SpeedReport as SpeedReport
    from privkd.metrics.speed import measure_speed as measure_speed
    from privkd.metrics.tracking import TrackingScores as TrackingScores
    from privkd.metrics.tracking import frames_per_second as frames_per_second
    from privkd.metrics.tracking import mean_scores as mean_scores
    from privkd.metrics.tracking import score_sequence as score_sequence
    from privkd.metrics.tracking import state_accuracy as state_accuracy
    from privkd.metrics.verification import MatchRates as MatchRates
    from privkd.metrics.verification import PairVerification as PairVerification
    from privkd.metrics.verification import match_rates as match_rates
    from privkd.metrics.verification import pair_cosines as pair_cosines
    from privkd.metrics.verification import relation_correlation as relation_correlation
    from privkd.metrics.verification import verify_pairs as verify_pairs

__getattr__, __dir__, __all__ = lazy_door(
    __name__,
    {
        "privkd.metrics.captions": "CaptionScores bleu cider meteor rouge_l score_captions tokens",
        "privkd.metrics.classification": (
            "GroupedScores ValidatedAccuracy accuracy accuracy_at_validated_threshold balanced_accuracy "
            "best_threshold binary_accuracy top_k_accuracy video_scores"
        ),
        "privkd.metrics.condensation": (
            "AugmentationRobustness LabelRobustness augmentation_robust_score label_robust_score"
        ),
        "privkd.metrics.continual": "IncrementalScores score_sessions",
        "privkd.metrics.distributions": (
            "DistributionScores chi_squared cumulative_js cut_accuracy emd mean_ratings plcc score_distributions srcc"
        ),
        "privkd.metrics.federated": "Personalisation Reweighted generalisation personalisation reweighted_accuracy",
        "privkd.metrics.identification": "closed_set_identification open_set_identification",
        "privkd.metrics.interpretation": (
            "ConceptPurity PerturbationCurve concept_purity mean_correlation perturbation_curve"
        ),
        "privkd.metrics.overlap": "centre_distance complete_iou iou",
        "privkd.metrics.pairs": "Pairs draw_pairs require_disjoint_identities",
        "privkd.metrics.proposals": "ProposalScores score_proposals temporal_iou",
        "privkd.metrics.ranking": "Retrieval retrieval",
        "privkd.metrics.roc": "RocCurve average_precision equal_error_rate roc_auc roc_curve tar_at_far",
        "privkd.metrics.saliency": (
            "SaliencyScores auc_judd correlation divergence nss score_saliency shuffled_auc similarity"
        ),
        "privkd.metrics.speed": "SpeedReport measure_speed",
        "privkd.metrics.tracking": "TrackingScores frames_per_second mean_scores score_sequence state_accuracy",
        "privkd.metrics.verification": (
            "MatchRates PairVerification match_rates pair_cosines relation_correlation verify_pairs"
        ),
    },
)
