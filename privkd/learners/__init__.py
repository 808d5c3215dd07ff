"""Learning from noisy labels and crowds: channels, aggregation, selection of rows, and learners with scikit-learn's contract."""

from typing import TYPE_CHECKING

from accountants import lazy_door

if TYPE_CHECKING:
    from privkd.learners.aggregation import Consensus as Consensus
    from privkd.learners.aggregation import dawid_skene as dawid_skene
    from privkd.learners.aggregation import majority as majority
    from privkd.learners.aggregation import naive_bayes_posterior as naive_bayes_posterior
    from privkd.learners.aggregation import one_coin as one_coin
    from privkd.learners.answers import Answers as Answers
    from privkd.learners.channels import cifar10_channel as cifar10_channel
    from privkd.learners.channels import inverse_response_channel as inverse_response_channel
    from privkd.learners.channels import multilabel_channel as multilabel_channel
    from privkd.learners.channels import pair_channel as pair_channel
    from privkd.learners.channels import response_channel as response_channel
    from privkd.learners.channels import selective_response_channel as selective_response_channel
    from privkd.learners.channels import symmetric_channel as symmetric_channel
    from privkd.learners.simulation import SimulatedCrowd as SimulatedCrowd
    from privkd.learners.simulation import beta_crowd as beta_crowd
    from privkd.learners.simulation import instance_dependent_crowd as instance_dependent_crowd
    from privkd.learners.simulation import noisy_label_sets as noisy_label_sets
    from privkd.learners.simulation import noisy_labels as noisy_labels

__getattr__, __dir__, __all__ = lazy_door(
    __name__,
    {
        "privkd.learners.aggregation": "Consensus dawid_skene majority naive_bayes_posterior one_coin",
        "privkd.learners.answers": "Answers",
        "privkd.learners.channels": "cifar10_channel inverse_response_channel multilabel_channel pair_channel response_channel "
        "selective_response_channel symmetric_channel",
        "privkd.learners.simulation": "SimulatedCrowd beta_crowd instance_dependent_crowd noisy_label_sets noisy_labels",
    },
)
