"""Students for low-resolution faces, against students that learn from labels alone or copy without a choice.

Usage:  python benchmarks/systems/distillation.py --seeds 3 --pages
Takes:  about a minute and a half per seed on one core.   Needs: nothing; faces are made up.
Writes: one JSON line per system and seed, and the table of its page.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from cases import main
from torch import nn

from privkd.data import PairedViews
from privkd.data.procedural import paired_faces
from privkd.networks import CosineHead, SmallNet
from privkd.recipes import build, train
from privkd.recipes.distillation.cross_view import embeddings
from privkd.recipes.distillation.robust_selection import robust_selection
from privkd.recipes.distillation.skd import Recognition
from privkd.trainer import Trainer, seeded

SETS = 10  # seeds of made-up faces per seed of a case, so that no two cases share a person


def reference_teacher(seed: int) -> nn.Module:
    """The teacher of all systems here, for faces of 32x32 pixels: 16 photographs each of 200 people whom no student meets."""
    faces = paired_faces(200, 16, seed=SETS * seed)
    with seeded(seed):
        teacher, head = SmallNet(32), CosineHead(64, 200)
    Trainer(epochs=15, batch_size=128, seed=seed, device="cpu").run(Recognition(teacher, head, lr=2e-3), faces)
    return teacher


def choices(views: PairedViews, teacher: nn.Module, seed: int) -> dict[str, torch.Tensor]:
    """What to copy of faces some of which are damaged, by the name of the choice."""
    selected = robust_selection(embeddings(teacher, views.high), views.labels)
    random = torch.zeros_like(selected)
    random[torch.randperm(len(views), generator=torch.Generator().manual_seed(seed))[: int(selected.sum())]] = True
    every = torch.ones_like(selected)
    return {"all": every, "random": random, "selected": selected, "oracle": ~views.extra["damaged"]}


def skd(seed: int) -> Mapping[str, Mapping[str, float]]:
    """40 people x 20 photographs, 35 % of the high views useless; figures are of 100 strangers."""
    teacher = reference_teacher(seed)
    views = paired_faces(40, 20, damaged=0.35, seed=SETS * seed + 1)
    strangers = paired_faces(100, 10, seed=SETS * seed + 2)
    good, found = ~views.extra["damaged"], {}
    for name, keep in choices(views, teacher, seed).items():
        trained = train(build("skd", teacher=teacher), views.with_column("keep", keep), seed=seed, device="cpu")
        shares = {"purity": (keep & good).sum() / keep.sum(), "recall": (keep & good).sum() / good.sum()}
        found[name] = {**trained.evaluate(strangers), **{share: float(value) for share, value in shares.items()}}
    plain = train(build("skd", ["feature_weight=0"], teacher=teacher), views, seed=seed, device="cpu")
    return {"labels only": plain.evaluate(strangers), **found}


if __name__ == "__main__":
    main({"skd": skd}, script="benchmarks/systems/distillation.py", about=__doc__ or "")
