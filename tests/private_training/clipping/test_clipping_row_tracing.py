"""Rows that a model sorts, selects or regroups by their values are credited to their own records, or not by ghost at all."""

import pytest
import torch
from torch import nn

from privkd.errors import UnsupportedModule
from privkd.private_training import Clipper, clipped_sum
from privkd.private_training.clipping.job import NotCovered
from privkd.private_training.clipping.row_tracing import may_move_rows, require_own_rows


class Moved(nn.Module):
    """Layers see the records in another order than the losses; no loss depends on another record."""

    def __init__(self, way):
        super().__init__()
        torch.manual_seed(0)
        self.way, self.first, self.last = way, nn.Linear(4, 6), nn.Linear(6, 1)

    def forward(self, x):
        order = x[:, 0].argsort(stable=True)
        back = order.argsort()
        h = torch.tanh(self.first(x[order]))
        if self.way == "index":
            h = h[back]
        elif self.way == "index_select":
            h = h.index_select(0, back)
        elif self.way == "scatter":
            h = torch.zeros_like(h).index_copy(0, order, h)
        elif self.way == "rows one by one":
            h = torch.stack([h[place] for place in back.tolist()])
        elif self.way == "matrix":
            h = nn.functional.one_hot(back, len(x)).to(h) @ h
        elif self.way == "einsum":
            h = torch.einsum("ij,jtd->itd", nn.functional.one_hot(back, len(x)).to(h), h[:, None])[:, 0]
        elif self.way == "gather":
            h = h.gather(0, back[:, None].expand_as(h))
        elif self.way == "embedding":
            h = nn.functional.embedding(back, h)
        return self.last(h).squeeze(1)


WAYS = ["index", "index_select", "scatter", "rows one by one", "matrix", "einsum", "gather", "embedding"]


def square(model, x):
    return model(x).square() * (1 + 100 * x[:, 1].square())


def ordered(records, exchanged=()):
    """Records in ascending order of what is sorted by, but for pairs of exchanged neighbours."""
    torch.manual_seed(1)
    x = torch.randn(records, 4)
    x[:, 0] = torch.arange(records)
    for place in exchanged:
        x[[place, place + 1], 0] = x[[place + 1, place], 0]
    return x


@pytest.mark.parametrize("way", WAYS)
def test_rows_that_move_behind_the_first_ones_are_seen_in_their_own_batch(way, twin):
    model, x = Moved(way), ordered(40, exchanged=(33,))
    clipper = Clipper(model, square, 1.0)
    clipper(ordered(40))
    assert clipper.strategy == "ghost"  # in order, rows are those of the records, and the result is exact
    found = clipper(x)
    assert clipper.strategy != "ghost"
    assert "rows are sorted" in clipper.reasons[-1] or len(clipper.reasons) > 1
    twin.assert_same(found, twin.one_by_one(model, square, (x,), 1.0), torch.float32)
    with pytest.raises(UnsupportedModule, match="sorted, selected or regrouped"):
        clipped_sum(model, square, (x,), 1.0, "ghost")


@pytest.mark.parametrize("way", WAYS)
def test_without_that_look_one_record_has_more_influence_than_the_bound(way, monkeypatch):
    monkeypatch.setattr("privkd.private_training.clipping.ghost.may_move_rows", lambda node, rows: False)
    model = Moved(way)
    x = ordered(40, exchanged=range(4, 38, 2))
    total = clipped_sum(model, square, (x,), 1.0, "ghost").gradients
    truth = clipped_sum(model, square, (x,), 1.0, "loop").gradients
    assert sum(float((total[name] - truth[name]).square().sum()) for name in total) ** 0.5 > 0.1


def test_opacus_is_refused_there_as_well():
    pytest.importorskip("opacus")
    with pytest.raises(UnsupportedModule, match="sorted, selected or regrouped"):
        clipped_sum(Moved("index"), square, (ordered(40, exchanged=(33,)),), 1.0, "opacus")
    clipped_sum(Moved("index"), square, (ordered(40),), 1.0, "opacus")


@pytest.mark.parametrize("pair", [(0, 1), (0, 16), (15, 31), (0, 256), (255, 511), (3, 599)])
@pytest.mark.parametrize("views", [1, 3])
def test_any_two_records_that_change_places_are_found(pair, views):
    x = torch.randn(600 * views, 2)
    layer = nn.Linear(2, 3)

    def look(order):
        output = layer(x)
        losses = output[order].square().sum(1)
        weights, edges = torch.ones_like(losses), [torch.autograd.graph.get_gradient_edge(output)]
        gradients = torch.autograd.grad(losses, edges, weights, retain_graph=True)
        require_own_rows(losses, weights, edges, gradients, views)

    order = torch.arange(600 * views)
    look(order)
    if views > 1:
        look(order.unflatten(0, (600, views)).flip(1).flatten())  # views of one record may change places
    one, other = (place * views for place in pair)
    order[[one, other]] = order[[other, one]]
    with pytest.raises(NotCovered):
        look(order)


@pytest.mark.parametrize(
    ("operation", "moves"),
    [
        (lambda h: h.softmax(-1), False),
        (lambda h: h.softmax(0), True),
        (lambda h: h.mean(-1), False),
        (lambda h: h.mean(0), True),
        (lambda h: h.amax((1, 2)), False),
        (lambda h: h.logsumexp((0, 2)), True),
        (lambda h: h.sum(), True),
        (lambda h: h.sum(2, keepdim=True), False),
        (lambda h: h.sum(-3, keepdim=True), True),
        (lambda h: h[:, 1], False),
        (lambda h: h[2], True),
        (lambda h: h.select(-1, 0), False),
        (lambda h: h.select(-3, 0), True),
        (lambda h: h[1:], True),
        (lambda h: h.unbind(1)[0], False),
        (lambda h: h.unbind(0)[0], True),
        (lambda h: torch.cat([h, h], -1), False),
        (lambda h: torch.cat([h, h], -3), True),
        (lambda h: torch.stack([h, h]), True),
        (lambda h: h.chunk(2, dim=-1)[0], False),
        (lambda h: h.flip(0), True),
        (lambda h: h.roll(1, 0), True),
        (lambda h: h.sort(1).values, False),
        (lambda h: h.sort(0).values, True),
        (lambda h: h @ torch.ones(4, 2), False),
        (lambda h: h[:, 0] @ torch.ones(4, 2), False),
        (lambda h: torch.ones(6, 6) @ h[:, 0], True),
        (lambda h: torch.bmm(h, h.mT.detach()), False),
        (lambda h: nn.functional.conv1d(h, torch.ones(2, 3, 1)), False),
        (lambda h: h.relu().exp().clamp(0, 1) / 3, False),
    ],
)
def test_operations_along_the_rows_are_looked_at_and_others_cost_nothing(operation, moves):
    def nodes(node, stop):
        if node is not None and node is not stop:
            yield node
            for following, _ in node.next_functions:
                yield from nodes(following, stop)

    h = torch.randn(6, 3, 4, requires_grad=True) * 1.0
    assert any(may_move_rows(node, 6) for node in nodes(operation(h).grad_fn, h.grad_fn)) is moves


def test_operations_that_nobody_knows_are_looked_at():
    class Own(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient

    assert may_move_rows(Own.apply(torch.randn(3, 2, requires_grad=True)).grad_fn, 3)


def test_gradients_too_small_for_exact_powers_are_not_taken_for_moved_rows():
    class Sorting(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, x, scale):
            out = self.layer(x)
            place = torch.arange(len(x))
            return scale * out.index_select(0, place).sum(1)  # an operation that may move rows, and does not

    x, scale = torch.randn(3, 3), torch.tensor([1.0, 1e-41, 3.0])
    clipper = Clipper(Sorting(), lambda m, x, scale: m(x, scale), 1.0, "ghost")
    assert int((clipper(x, scale).norms > 0).sum()) >= 2
