"""Rényi curves of randomized responses and of claims that a response dominates."""

import math

import numpy as np

from accountants.adjacency import Adjacency
from accountants.events import ApproxDP, PureDP, RandomizedResponse, SubsetResponse
from accountants.methods.renyi.registry import curve
from accountants.methods.renyi.symmetric import symmetric_renyi
from accountants.numerics.array_kinds import FloatArray


@curve.register
def _(event: RandomizedResponse, orders: FloatArray, adjacency: Adjacency | None) -> FloatArray:
    log_kept = -math.log1p((event.k - 1) * math.exp(-event.eps0))
    return symmetric_renyi(np.array([event.eps0]), np.array([log_kept]), orders)


@curve.register
def _(event: SubsetResponse, orders: FloatArray, adjacency: Adjacency | None) -> FloatArray:
    # Sets with the one symbol and without the other.
    log_true = -math.log1p((event.k - event.d) / event.d * math.exp(-event.eps0))
    log_mass = log_true + math.log((event.k - event.d) / (event.k - 1))
    return symmetric_renyi(np.array([event.eps0]), np.array([log_mass]), orders)


@curve.register
def _(event: PureDP, orders: FloatArray, adjacency: Adjacency | None) -> FloatArray:
    # Binary randomized response dominates every pure mechanism of the same level.
    return curve(RandomizedResponse(2, event.epsilon), orders, adjacency)


@curve.register
def _(event: ApproxDP, orders: FloatArray, adjacency: Adjacency | None) -> FloatArray:
    return np.full_like(orders, np.inf)  # a delta of 0 is a PureDP in every normal form
