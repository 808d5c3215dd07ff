"""Learning from noisy labels and crowds: channels, aggregation, selection of rows, and learners with scikit-learn's contract."""

from typing import TYPE_CHECKING

from accountants import lazy_door

if TYPE_CHECKING:
    from privkd.learners.aggregation import Consensus as Consensus
    from privkd.learners.aggregation import dawid_skene as dawid_skene
    from privkd.learners.aggregation import majority as majority
    from privkd.learners.aggregation import naive_bayes_posterior as naive_bayes_posterior
    from privkd.learners.aggregation import one_coin as one_coin
    from privkd.learners.channels import cifar10_channel as cifar10_channel
    from privkd.learners.channels import inverse_response_channel as inverse_response_channel
    from privkd.learners.channels import multilabel_channel as multilabel_channel
    from privkd.learners.channels import pair_channel as pair_channel
    from privkd.learners.channels import response_channel as response_channel
    from privkd.learners.channels import selective_response_channel as selective_response_channel
    from privkd.learners.channels import symmetric_channel as symmetric_channel
    from privkd.learners.correction import CorrectedLikelihood as CorrectedLikelihood
    from privkd.learners.correction import ForwardCorrection as ForwardCorrection
    from privkd.learners.learner import NoisyLearner as NoisyLearner
    from privkd.learners.mixing import Mixed as Mixed
    from privkd.learners.mixing import mixup as mixup
    from privkd.learners.neighbours import clusters as clusters
    from privkd.learners.neighbours import nearest as nearest
    from privkd.learners.neighbours import neighbour_graph as neighbour_graph
    from privkd.learners.selection import Selection as Selection
    from privkd.learners.selection import confident as confident
    from privkd.learners.selection import gmm_small_loss as gmm_small_loss
    from privkd.learners.selection import knn_agreement as knn_agreement
    from privkd.learners.selection import small_loss as small_loss
    from privkd.learners.selection import trusted as trusted
    from privkd.learners.simulation import SimulatedCrowd as SimulatedCrowd
    from privkd.learners.simulation import beta_crowd as beta_crowd
    from privkd.learners.simulation import instance_dependent_crowd as instance_dependent_crowd
    from privkd.learners.simulation import noisy_label_sets as noisy_label_sets
    from privkd.learners.simulation import noisy_labels as noisy_labels

__getattr__, __dir__, __all__ = lazy_door(
    __name__,
    {
        "privkd.learners.aggregation": "Consensus dawid_skene majority naive_bayes_posterior one_coin",
        "privkd.learners.channels": "cifar10_channel inverse_response_channel multilabel_channel pair_channel response_channel "
        "selective_response_channel symmetric_channel",
        "privkd.learners.correction": "CorrectedLikelihood ForwardCorrection",
        "privkd.learners.learner": "NoisyLearner",
        "privkd.learners.mixing": "Mixed mixup",
        "privkd.learners.neighbours": "clusters nearest neighbour_graph",
        "privkd.learners.selection": "Selection confident gmm_small_loss knn_agreement small_loss trusted",
        "privkd.learners.simulation": "SimulatedCrowd beta_crowd instance_dependent_crowd noisy_label_sets noisy_labels",
    },
)
