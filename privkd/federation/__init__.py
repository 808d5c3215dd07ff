"""Federated learning: partitions, what clients and server say to each other, and rounds in one process; no privacy by itself."""

from typing import TYPE_CHECKING

from accountants import lazy_door

if TYPE_CHECKING:
    from privkd.federation.aggregation import weighted_mean as weighted_mean
    from privkd.federation.contracts import Client as Client
    from privkd.federation.contracts import EvalResult as EvalResult
    from privkd.federation.contracts import FitResult as FitResult
    from privkd.federation.exchange import arrays_of as arrays_of
    from privkd.federation.exchange import floating_keys as floating_keys
    from privkd.federation.exchange import load_arrays as load_arrays
    from privkd.federation.exchange import state_from_bytes as state_from_bytes
    from privkd.federation.exchange import state_to_bytes as state_to_bytes
    from privkd.federation.local_training import LocalClient as LocalClient
    from privkd.federation.local_training import LocalTraining as LocalTraining
    from privkd.federation.partition import Partition as Partition
    from privkd.federation.partitioning import dirichlet as dirichlet
    from privkd.federation.partitioning import iid as iid
    from privkd.federation.partitioning import pathological as pathological
    from privkd.federation.partitioning import quantity_skew as quantity_skew
    from privkd.federation.partitioning import shards as shards
    from privkd.federation.rounds import FederationHistory as FederationHistory
    from privkd.federation.rounds import Round as Round
    from privkd.federation.rounds import run_federation as run_federation
    from privkd.federation.strategy import FedAvg as FedAvg
    from privkd.federation.strategy import Strategy as Strategy

__getattr__, __dir__, __all__ = lazy_door(
    __name__,
    {
        "privkd.federation.aggregation": "weighted_mean",
        "privkd.federation.contracts": "Client EvalResult FitResult",
        "privkd.federation.exchange": "arrays_of floating_keys load_arrays state_from_bytes state_to_bytes",
        "privkd.federation.local_training": "LocalClient LocalTraining",
        "privkd.federation.partition": "Partition",
        "privkd.federation.partitioning": "dirichlet iid pathological quantity_skew shards",
        "privkd.federation.rounds": "FederationHistory Round run_federation",
        "privkd.federation.strategy": "FedAvg Strategy",
    },
)
