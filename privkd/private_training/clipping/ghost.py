"""Clipped sums without per-sample parameter gradients: one forward pass, one backward pass to the layers' outputs.

From each layer's input and the gradient at its output follow the norms of the records' gradients, then the weighted
sums. Parameter gradients are never formed, so nothing is computed twice.

Source: Bu et al., arXiv 2210.00038 (book-keeping); Li et al., arXiv 2110.05679 (ghost clipping).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor
from torch.autograd.graph import Node

from privkd.private_training.clipping.clipped_sum import ClippedSum, Factors, complete
from privkd.private_training.clipping.job import Job, NotCovered, Rows
from privkd.private_training.clipping.layers.recording import recorded
from privkd.private_training.clipping.layers.site import Site
from privkd.private_training.clipping.precision import full_precision, in_blocks, row_norms, working_dtype
from privkd.private_training.clipping.row_tracing import may_move_rows, nodes_behind, require_own_rows

_CHUNK = 1 << 22  # numbers in the gradients of a shared parameter that exist at a time

_Use = tuple[Site, str]
"""A site that adds a gradient to a parameter, and in which role."""


def ghost(job: Job, rows: Rows) -> ClippedSum:
    """Sum of clipped gradients by book-keeping; every trained parameter must belong to a covered layer.

    Raises:
        NotCovered: the forward pass used a trained parameter in a way that is not covered.
    """
    trained, records = job.trained(), len(rows[0])
    losses, sites, moved = _forward(job, rows)
    values = job.by_record(losses)
    sites = _backward(sites, losses, records, job.views, moved) if losses.requires_grad else []
    with full_precision(losses), torch.no_grad():
        uses: dict[str, list[_Use]] = defaultdict(list)
        for site in sites:
            for role, target in site.targets.items():
                uses[target.name].append((site, role))
        squared = {name: _squared_norms(uses[name], trained[name], records) for name in uses}
        sizes = [partial(_sizes, uses, closely) for closely in (False, True)] if uses else ()
        factors = Factors(job.rule, squared, values, trained, sizes)
        if factors.broken is not None:
            # A factor of zero is not enough: zero times infinity is no number.
            for site in sites:
                site.discard(factors.without_broken)
        sums = {name: _weighted(uses[name], trained[name], factors.of(name)) for name in uses}
    return ClippedSum(complete(sums, trained), factors.norms, values, records, job.rule)


def mixing_sites(job: Job, rows: Rows) -> list[str]:
    """Layers in which the loss of one record depends on activations of another one: ghost norms would be wrong there.

    One backward pass is made for each record.
    """
    losses, sites, _ = _forward(job, rows)
    if not losses.requires_grad or not sites:
        return []
    found: dict[str, None] = {}
    edges = [site.edge for site in sites]
    for index in range(len(rows[0])):
        own = slice(index * job.views, (index + 1) * job.views)
        gradients = torch.autograd.grad(losses[own].sum(), edges, retain_graph=True, allow_unused=True)
        for site, gradient in zip(sites, gradients, strict=True):
            if gradient is not None:
                # NaN comes from a broken record, not from mixing.
                others = gradient.reshape(len(losses), -1).nan_to_num(0.0)
                others[own] = 0.0
                if bool(others.any()):
                    found[site.name] = None
    return list(found)


def require_rows_in_place(job: Job, rows: Rows) -> None:
    """Raise NotCovered where a covered layer holds rows of one record in the place of another's; one more forward pass."""
    with torch.enable_grad(), recorded(job.model, job.trained(), len(rows[0]) * job.views) as sites:
        losses = job.losses(rows)
    if sites and losses.requires_grad:
        edges, weights = [site.edge for site in sites], torch.ones_like(losses)
        gradients = torch.autograd.grad(losses, edges, weights, retain_graph=True, allow_unused=True)
        require_own_rows(losses, weights, edges, gradients, job.views)


def _forward(job: Job, rows: Rows) -> tuple[Tensor, list[Site], bool]:
    """Losses, what the layers saw, and whether rows may have been moved on the way."""
    trained = job.trained()
    count = len(rows[0]) * job.views
    with torch.enable_grad(), recorded(job.model, trained, count) as sites:
        losses = job.losses(rows)
    for site in sites:
        site.require_unchanged()
    # A trained parameter that the graph reaches other than through its layer's call would be clipped by too small a norm.
    nodes = _graph(losses, sites)
    names = {id(p): name for name, p in trained.items()}
    leaves = (id(variable) for node in nodes if (variable := getattr(node, "variable", None)) is not None)
    unseen = dict.fromkeys(names[leaf] for leaf in leaves if leaf in names)
    if unseen:
        raise NotCovered(f"used outside of a covered layer's own call: {', '.join(unseen)}")
    own = {site.edge.node for site in sites}
    return losses, sites, any(node not in own and may_move_rows(node, count) for node in nodes)


def _graph(losses: Tensor, sites: list[Site]) -> list[Node]:
    """The graph from the losses back; at a site's output it goes on at its input, past its parameters."""
    inward: dict[Node, list[Node]] = defaultdict(list)
    for site in sites:
        inward[site.edge.node] += [edge.node for edge in site.inward]
    return nodes_behind(losses, inward)


def _backward(sites: list[Site], losses: Tensor, records: int, views: int, moved: bool) -> list[Site]:
    """The sites that the losses depend on, with their gradients; those of rows that may have been moved are checked."""
    if not sites:
        return []
    weights = torch.full_like(losses, 1.0 / views)
    edges = [site.edge for site in sites]
    gradients = torch.autograd.grad(losses, edges, weights, retain_graph=moved, allow_unused=True)
    if moved:
        require_own_rows(losses, weights, edges, gradients, views)
    reached = []
    for site, gradient in zip(sites, gradients, strict=True):
        if gradient is not None:
            site.receive(gradient, records)
            reached.append(site)
    return reached


def _squared_norms(uses: list[_Use], parameter: Tensor, records: int) -> Tensor:
    """Squared norms of a parameter's gradients, shape (records,).

    Uses of different rows add up; where the same row is used more than once, the gradients are added before the norm.
    """
    targets = [site.targets[role] for site, role in uses]
    if len(uses) == 1 or (len(set(targets)) == len(targets) and all(t.start is not None for t in targets)):
        first, *rest = (site.squared_norms(role) for site, role in uses)
        return sum(rest, first)
    chunk = max(1, _CHUNK // parameter.numel())
    norms = []
    for start in range(0, records, chunk):
        chosen = slice(start, min(start + chunk, records))
        shape = (chosen.stop - start, *parameter.shape)
        samples = torch.zeros(shape, dtype=working_dtype(parameter), device=parameter.device)
        for (site, role), target in zip(uses, targets, strict=True):
            samples[:, target.rows] += site.samples(role, chosen)
        norms.append(row_norms(samples).square())
    return torch.cat(norms)


def _sizes(uses: Mapping[str, list[_Use]], closely: bool) -> Tensor:
    """At most how large all terms of a record's gradient are together, shape (records,)."""
    sums = (torch.stack([site.magnitudes(role, closely) for site, role in own]).sum(0) for own in uses.values())
    return torch.stack([total.square() for total in sums]).sum(0).sqrt()


def _weighted(uses: list[_Use], parameter: Tensor, factors: Tensor) -> Tensor:
    """Sum over the records of factor * gradient of one parameter, added up in blocks."""
    if len(uses) == 1 and uses[0][0].targets[uses[0][1]].start is None:
        site, role = uses[0]
        return in_blocks(len(factors), lambda records: site.weighted(role, factors[records], records))

    def block(records: slice) -> Tensor:
        total = torch.zeros_like(parameter, dtype=working_dtype(parameter))
        for site, role in uses:
            total[site.targets[role].rows] += site.weighted(role, factors[records], records)
        return total

    return in_blocks(len(factors), block)
