"""The structures of a tracker and of a detector of forged videos on the trainer: tiny, and not the published systems."""

from itertools import chain

import pytest
import torch
from torch import nn
from torch.nn import functional

from privkd.trainer import Task, Trainer, seeded


def weights(*modules):
    return [parameter for module in modules for parameter in module.parameters()]


# Tracking. Structure of COST: a template, a search region and a sentence in one transformer, aligned by contrast.


def twins(n, seed):
    """Two like objects in a search region, a template of them, and a sentence: the side that is meant, the colour."""
    generator = torch.Generator().manual_seed(seed)
    colour, side, top = (torch.randint(high, (n,), generator=generator) for high in (3, 2, 10))
    left = torch.randint(4, (n, 2), generator=generator) + torch.tensor([0, 6])
    template = functional.one_hot(colour, 3).float()[:, :, None, None].expand(-1, -1, 4, 4)
    search = torch.zeros(n, 3, 12, 12)
    for row in range(n):
        for x in left[row]:
            search[row, colour[row], top[row] : top[row] + 3, x : x + 3] = 1.0
    corner = torch.stack([left[torch.arange(n), side], top], dim=1)
    return search, template, torch.stack([side, 2 + colour], dim=1), torch.cat([corner, corner + 3], dim=1) / 12


def alignment(video, words, sentence):
    """Contrast of both, in both directions; rows with one sentence are not set against each other."""
    similarity = functional.normalize(video) @ functional.normalize(words).T / 0.07
    alike = (sentence[:, None] == sentence).all(dim=2).fill_diagonal_(False)
    similarity, right = similarity.masked_fill(alike, -1e4), torch.arange(len(video), device=video.device)
    return (functional.cross_entropy(similarity, right) + functional.cross_entropy(similarity.T, right)) / 2


def cells(box):
    """The token of the search region that holds the middle of a box."""
    x, y = ((box[:, :2] + box[:, 2:]) * 3.0).long().unbind(dim=1)
    return y * 6 + x


class Track(Task):
    """Where the object is, its box, and how video and language align; the backbone has a learning rate of its own."""

    def __init__(self):
        with seeded(6):
            modules = {
                "backbone": nn.Sequential(nn.Conv2d(3, 32, 3, 2, 1), nn.ReLU()),
                "language": nn.Embedding(5, 32),
                "places": nn.Embedding(43, 32),
                "fusion": nn.TransformerEncoderLayer(32, 2, 64, dropout=0.0, batch_first=True),
                "head": nn.Linear(32, 5),
            }
        slow, *fast = (weights(module) for module in modules.values())
        groups = [{"params": slow, "lr": 1e-3}, {"params": chain(*fast), "lr": 3e-3}]
        super().__init__(modules=modules, optimizers={"adam": torch.optim.AdamW(groups)})

    def find(self, search, template, sentence):
        frames = [self.modules["backbone"](image).flatten(2).transpose(1, 2) for image in (search, template)]
        words = self.modules["language"](sentence)
        tokens = torch.cat([*frames, words, torch.zeros_like(words[:, :1])], dim=1)  # the last stands for the object
        fused = self.modules["fusion"](tokens + self.modules["places"](torch.arange(43, device=search.device)))
        return self.modules["head"](fused[:, :36]), frames[0].mean(dim=1), words.mean(dim=1)

    def step(self, batch, context):
        search, template, sentence, box = batch.tensors
        found, video, words = self.find(search, template, sentence)
        guess = found[torch.arange(len(box)), cells(box), 1:]
        return {
            "cell": 8.334 * functional.cross_entropy(found[:, :, 0], cells(box)),
            "box": 5.0 * (guess - box).abs().sum(dim=1).mean(),
            "alignment": 0.5 * alignment(video, words, sentence),
        }


def test_the_sentence_decides_which_of_two_twins_is_found():
    task, (search, template, sentence, box) = Track(), twins(200, seed=1)
    Trainer(steps=160, batch_size=32).run(task, twins(1000, seed=0))
    other = torch.stack([1 - sentence[:, 0], sentence[:, 1]], dim=1)
    right, wrong = (task.find(search, template, words)[0][:, :, 0].argmax(dim=1) for words in (sentence, other))
    assert (right == cells(box)).float().mean() > 0.9 > 0.1 > (wrong == cells(box)).float().mean()


def test_rows_with_one_sentence_are_not_set_against_each_other():
    video, words = torch.randn(2, 8, 32)
    assert alignment(video, words, torch.ones(8, 2)) < 1e-6 < 0.1 < alignment(video, words, torch.arange(16).view(8, 2))


# Video forensics. Structure of STDT: a transformer over a bag of patches, drawn anew in every step, in time and in space.


class Bag(nn.Module):
    """Some patches of some frames; all of them in eval mode."""

    def __init__(self, frames, patches):
        super().__init__()
        self.frames, self.patches = frames, patches

    def forward(self, tokens):
        b, t, n, d = tokens.shape
        if self.training:
            frames = torch.rand(b, t, device=tokens.device).argsort(dim=1)[:, : self.frames].sort(dim=1).values
            patches = torch.rand(b, self.frames, n, device=tokens.device).argsort(dim=2)[:, :, : self.patches]
            tokens = tokens.gather(1, frames[:, :, None, None].expand(-1, -1, n, d))
            tokens = tokens.gather(2, patches[..., None].expand(-1, -1, -1, d))
        return tokens.flatten(1, 2)


class Detector(nn.Module):
    def __init__(self, frames, patches):
        super().__init__()
        self.embed, self.time, self.space = nn.Linear(4, 32), nn.Embedding(8, 32), nn.Embedding(4, 32)
        self.bag, self.head = Bag(frames, patches), nn.Linear(32, 1)
        self.mix = nn.TransformerEncoder(nn.TransformerEncoderLayer(32, 2, 64, dropout=0.0, batch_first=True), 2)

    def forward(self, video):
        tokens = self.bag(self.embed(video) + self.time.weight[:, None] + self.space.weight)
        return self.head(self.mix(functional.pad(tokens, (0, 0, 1, 0)))[:, 0]).squeeze(1)


class Detect(Task):
    """Real or fake, for whole videos; figures of merit use every patch."""

    def __init__(self, held_out, *, frames):
        with seeded(8):
            self.net = Detector(frames, patches=2)
        adam, self.held_out = torch.optim.AdamW(self.net.parameters(), lr=3e-3), held_out
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, 200)
        super().__init__(modules={"net": self.net}, optimizers=[adam], schedulers=[cosine])

    def step(self, batch, context):
        video, fake = batch.tensors
        return {"cross-entropy": functional.binary_cross_entropy_with_logits(self.modules["net"](video), fake)}

    def validate(self, context):
        video, fake = (tensor.to(context.device) for tensor in self.held_out)
        return {"accuracy": float(((self.modules["net"](video) > 0) == (fake == 1)).float().mean())}


def videos(n, seed):
    """Eight frames of four patches; brightness holds still in real ones, and jumps in fakes: no frame alone tells."""
    generator = torch.Generator().manual_seed(seed)
    fake = torch.randint(2, (n,), generator=generator)
    light = torch.rand(n, 8, generator=generator)
    light = torch.where(fake[:, None] == 1, light, light[:, :1])
    return light[:, :, None, None] + 0.05 * torch.randn(n, 8, 4, 4, generator=generator), fake.float()


@pytest.mark.parametrize(("frames", "least", "most"), [(6, 0.9, 1.0), (1, 0.3, 0.7)])
def test_time_tells_fakes_and_a_bag_of_one_frame_cannot(frames, least, most):
    history = Trainer(steps=200, batch_size=32).run(Detect(videos(300, 1), frames=frames), videos(1000, 0))
    assert least <= history.column("accuracy")[-1] <= most


def test_bags_are_drawn_per_frame_in_training_and_hold_everything_in_validation():
    bag, places = Bag(frames=3, patches=2), torch.arange(32.0).view(1, 8, 4, 1).expand(50, -1, -1, -1)
    chosen = bag(places).view(50, 3, 2)
    frame, patch = chosen // 4, chosen % 4
    assert (frame[:, :, 0] == frame[:, :, 1]).all()
    assert (frame[:, 1:, 0] > frame[:, :-1, 0]).all()
    assert (patch[:, 0].sort(dim=1).values != patch[:, 1].sort(dim=1).values).any()
    assert torch.equal(bag.eval()(places), places.flatten(1, 2))
