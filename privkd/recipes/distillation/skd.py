"""SKD: selective knowledge distillation for low-resolution faces (Ge et al., arXiv 1811.09998, IEEE TIP 2019).

From the paper: two streams, two losses, selection of features by a sparse graph. Reconstructed: the energy of the selection
(`robust_selection`). See docs/systems/skd.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from accountants import check
from privkd.data import PairedViews
from privkd.data.procedural import paired_faces
from privkd.losses import cross_entropy, feature_distance
from privkd.networks import CosineHead, LRNet16, SmallNet
from privkd.plain import make_plain
from privkd.recipes.card import Card
from privkd.recipes.catalogue import register
from privkd.recipes.distillation.cross_view import cross_view_figures, cross_view_picture, embeddings
from privkd.recipes.distillation.robust_selection import SelectionRule, robust_selection
from privkd.recipes.recipe import Recipe
from privkd.trainer.batch import Batch
from privkd.trainer.context import Context
from privkd.trainer.schedules import cosine
from privkd.trainer.task import Losses, Stage, Task


@dataclass(frozen=True, kw_only=True)
class SKDConfig(SelectionRule):
    """Settings, those of the selection (`SelectionRule`) among them; the defaults train the example in seconds.

    Attributes:
        feature_weight: weight of the teacher's features against the labels, >= 0.
        epochs: passes over the pairs, >= 1.
        teacher_epochs: passes over the high views for a teacher that is not handed in, >= 1.
        batch_size: pairs per step, >= 1.
        lr: learning rate of Adam, > 0.
        dim: size of the embedding where no teacher is handed in, >= 1.

    Raises:
        TypeError, ValueError: a field is out of range.
    """

    feature_weight: float = 10.0
    epochs: int = 40
    teacher_epochs: int = 15
    batch_size: int = 64
    lr: float = 2e-3
    dim: int = 64

    def __post_init__(self) -> None:
        make_plain(self)
        super().__post_init__()
        check.integer(epochs=self.epochs, teacher_epochs=self.teacher_epochs, batch_size=self.batch_size, at_least=1)
        check.integer(dim=self.dim, at_least=1)
        check.real(feature_weight=self.feature_weight, at_least=0.0)
        check.real(lr=self.lr, above=0.0)


class Recognition(Task):
    """The teacher learns identities from the high view, by the scaled cosines of its embedding.

    Args:
        teacher: gives embeddings, shape (b, d).
        head: gives logits, shape (b, K).
        lr: learning rate of Adam.
    """

    def __init__(self, teacher: nn.Module, head: nn.Module, *, lr: float) -> None:
        super().__init__(
            modules={"teacher": teacher, "teacher-head": head},
            optimizers={"adam": torch.optim.Adam([*teacher.parameters(), *head.parameters()], lr=lr)},
            schedule=cosine(),
        )

    def step(self, batch: Batch, context: Context) -> Losses:
        embedding = self.modules["teacher"](batch["high"])
        return {"labels": cross_entropy(self.modules["teacher-head"](embedding), batch["label"])}


class SelectiveMimicry(Task):
    """The student learns labels of every face from the low view, and the teacher's features of the faces worth copying.

    Args:
        student: gives embeddings of the teacher's size, shape (b, d).
        head: gives logits, shape (b, K).
        teacher: frozen. Its features come with the rows ("feature", "keep", see `with_targets`); it is here so that the run
            proves it unchanged.
        config: weights.
    """

    def __init__(self, student: nn.Module, head: nn.Module, teacher: nn.Module, config: SKDConfig) -> None:
        super().__init__(
            modules={"student": student, "head": head},
            frozen={"teacher": teacher},
            optimizers={"adam": torch.optim.Adam([*student.parameters(), *head.parameters()], lr=config.lr)},
            schedule=cosine(),
        )
        self.feature_weight = config.feature_weight

    def step(self, batch: Batch, context: Context) -> Losses:
        embedding = self.modules["student"](batch["low"])
        copied = feature_distance(embedding, batch["feature"], where=batch["keep"])
        context.log("copied", batch["keep"].float().mean())  # the share of the rows
        return {
            "labels": cross_entropy(self.modules["head"](embedding), batch["label"]),
            "features": self.feature_weight * copied,
        }


CARD = Card(
    title="a small student for low-resolution faces, which copies the teacher's features where they are worth it",
    paper="Ge, Zhao, Li, Yao: Low-resolution Face Recognition in the Wild via Selective Knowledge Distillation, IEEE TIP "
    "28(4), 2019, arXiv 1811.09998",
    from_paper=(
        "two streams: a large teacher on high resolution, a small student on low resolution",
        "two losses: regression of selected features, classification of low-resolution faces",
        "the features are selected on a sparse graph of the faces, before the student learns",
    ),
    reconstructed=("the energy of the selection, its robust class centres, and the sweeps that lower it",),
    ours=(
        "embeddings are compared as unit vectors, and labels learned from scaled cosines",
        "the networks: LRNet16 for images of 16x16 pixels, three convolutional blocks for others",
        "without a teacher that is handed in, one is trained on the high views of the same people",
    ),
    proof="35 % of the high views useless, 3 seeds: 0.906 of pairs right across views and 0.898 among low ones; copying all "
    "features 0.842 and 0.817, labels only 0.516 and 0.908",
    private_statistics=("the teacher's features of all rows, which decide what is copied",),
)


def network_for(shape: tuple[int, ...], dim: int) -> nn.Module:
    """A fresh embedding network for square images of a shape (channels, height, width).

    Raises:
        ValueError: the images are not square, or smaller than 4x4.
    """
    channels, height, width = shape
    if height != width:
        raise ValueError(f"images are {height}x{width} pixels; this network takes square ones: crop or resize them")
    return LRNet16(dim, channels) if height == LRNet16.side else SmallNet(height, 16, dim, channels)


def with_targets(views: PairedViews, teacher: nn.Module, rule: SelectionRule) -> PairedViews:
    """The pairs with the teacher's features of their high views, "feature", and which of them are worth copying, "keep".

    A column "keep" that is there already is left as it is: somebody else has chosen.
    """
    feature = embeddings(teacher, views.high)
    chosen = (
        views if "keep" in views.extra else views.with_column("keep", robust_selection(feature, views.labels, rule))
    )
    return chosen.with_column("feature", feature)


def require_labels(views: PairedViews) -> None:
    """Refuse pairs that a recogniser cannot learn from.

    Raises:
        ValueError: a row has no identity, or there are fewer than two.
    """
    if (views.labels < 0).any():
        raise ValueError(f"paired views {views.name!r} have rows without a label; take the labelled rows")
    if len(views.labels.unique()) < 2:
        raise ValueError(f"paired views {views.name!r} show one identity only; at least two are needed")


@register("skd")
def skd(config: SKDConfig = SKDConfig(), *, teacher: nn.Module | None = None) -> Recipe[PairedViews]:
    """The recipe `skd`; deploys `student`, which gives embeddings of low views.

    Args:
        config: settings of the selection and of the training.
        teacher: gives embeddings of high views, shape (b, d), and is left as it is. None trains one on the high views of the
            same people: a weaker teacher than one that has seen more.
    """

    def stages(views: PairedViews) -> Sequence[Stage]:
        require_labels(views)
        shown = network_for(tuple(views.high.shape[1:]), config.dim) if teacher is None else teacher
        dim = embeddings(shown, views.high[:2]).shape[1]
        student, head = network_for(tuple(views.low.shape[1:]), dim), CosineHead(dim, views.classes)
        mimicry = SelectiveMimicry(student, head, shown, config)
        learning = Stage("student", mimicry, lambda: with_targets(views, shown, config), epochs=config.epochs)
        if teacher is not None:
            return [learning]
        recognition = Recognition(shown, CosineHead(dim, views.classes), lr=config.lr)
        return [Stage("teacher", recognition, views, epochs=config.teacher_epochs), learning]

    return Recipe(
        name="skd",
        config=config,
        data=PairedViews,
        card=CARD,
        stages=stages,
        deploy=("student",),
        evaluate=cross_view_figures,
        picture=cross_view_picture,
        example=lambda: paired_faces(20, 10, damaged=0.35, seed=1),
    )
