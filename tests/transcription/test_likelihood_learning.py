"""Learning from answers with known noise: the loss is the forward correction, and it beats ignoring the noise."""

import math

import torch
from torch import nn

from accountants import Ledger
from generators import SmallGenerator, coverage_loss
from privkd.mechanisms import KaryResponse, SeededNoise
from privkd.mechanisms.randomized_response import keep_probability
from privkd.trainer import Batch, Context, Trainer, seeded
from privkd.trainer.batch import numbered
from privkd.transcription.methods.data_free import _NoisyAnswers

CONTEXT = Context(0, 0, 1, torch.device("cpu"), torch.Generator())


def test_the_loss_of_noisy_answers_is_the_forward_correction():
    logits, answers, eps0 = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1]), 1.3
    student = nn.Identity()
    student.weight = nn.Parameter(torch.zeros(1))
    task = _NoisyAnswers(student)
    likelihood = KaryResponse(eps0, 4).log_likelihood(answers).float()
    value = task.step(Batch(torch.arange(6), numbered((logits, likelihood))), CONTEXT)["answers"]
    p = keep_probability(eps0, 4)
    q = (1 - p) / 3
    slow = -sum(math.log(q + (p - q) * float(logits[i].softmax(0)[a])) for i, a in enumerate(answers)) / 6
    assert math.isclose(float(value), slow, rel_tol=1e-5)


def test_the_known_noise_gives_better_probabilities_than_plain_labels(data):
    """Digits labels through k-ary response at eps0 = 2: negative log likelihood on the test set, same budget."""
    eps0, account = 2.0, Ledger(adjacency="replace-one")
    noisy = KaryResponse(eps0, 10).release(data.private.labels, ledger=account, noise=SeededNoise(0))
    likelihood = KaryResponse(eps0, 10).log_likelihood(noisy).float()
    plain = torch.full((len(noisy), 10), -30.0).scatter_(1, noisy[:, None], 0.0)

    def nll(table):
        with seeded(0):
            student = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
        Trainer(steps=600, seed=0).run(_NoisyAnswers(student), (data.private.inputs, table))
        with torch.no_grad():
            return float(nn.functional.cross_entropy(student(data.test.inputs), data.test.labels))

    assert nll(likelihood) < 0.75 * nll(plain)


def test_the_generator_learns_to_spread_and_balance():
    with seeded(0):
        generator, student = SmallGenerator((16,)), nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))
    student.requires_grad_(False)
    optimizer = torch.optim.Adam(generator.parameters(), lr=3e-3)
    rng = torch.Generator().manual_seed(0)

    def terms():
        coarse = generator.coarse(torch.randn(256, generator.latent, generator=rng))
        return coverage_loss(student(generator.enlarged(coarse)), coarse)

    before = {name: float(value) for name, value in terms().items()}
    for _ in range(60):
        optimizer.zero_grad()
        sum(terms().values()).backward()
        optimizer.step()
    after = {name: float(value) for name, value in terms().items()}
    assert after["spread"] < 0.5 * before["spread"]
    assert after["balance"] < before["balance"]


def test_a_sampled_input_depends_on_its_own_latent_vector_only():
    generator = SmallGenerator((2, 12, 12), low=-1.0, high=1.0).eval()
    z = torch.randn(5, generator.latent)
    alone = torch.cat([generator(row[None]) for row in z])
    assert torch.allclose(generator(z), alone, atol=1e-6)
    assert generator.sample(3).shape == (3, 2, 12, 12)
