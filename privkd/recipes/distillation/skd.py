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
class SKDConfig:
    """Settings; the defaults train in about 20 s on one core.

    Attributes:
        feature_weight: weight of the teacher's features against the labels, >= 0.
        threshold: of the selection, see `SelectionRule`.
        neighbours: of the selection's graph.
        similarity: of the selection's graph.
        pair_weight: of the selection.
        epochs: passes over the pairs, >= 1.
        teacher_epochs: passes over the high views for a teacher that is not handed in, >= 1.
        batch_size: pairs per step, >= 1.
        lr: learning rate of Adam, > 0.
        dim: size of the embedding of a teacher that is not handed in, >= 1.

    Raises:
        TypeError, ValueError: a field is out of range.
    """

    feature_weight: float = 10.0
    threshold: float = 0.35
    neighbours: int = 10
    similarity: float = 0.5
    pair_weight: float = 0.5
    epochs: int = 40
    teacher_epochs: int = 15
    batch_size: int = 64
    lr: float = 2e-3
    dim: int = 64

    def __post_init__(self) -> None:
        make_plain(self)
        check.integer(epochs=self.epochs, teacher_epochs=self.teacher_epochs, batch_size=self.batch_size, at_least=1)
        check.integer(dim=self.dim, at_least=1)
        check.real(feature_weight=self.feature_weight, at_least=0.0)
        check.real(lr=self.lr, above=0.0)
        self.rule()

    def rule(self) -> SelectionRule:
        """The rule of the selection."""
        return SelectionRule(
            threshold=self.threshold,
            neighbours=self.neighbours,
            similarity=self.similarity,
            pair_weight=self.pair_weight,
        )


class Recognition(Task):
    """Identities by the scaled cosine of an embedding of one view; rows without a label teach nothing.

    Args:
        network: gives embeddings, trained under the name `name`.
        head: gives logits.
        name: of the network.
        view: column of the batch.
        lr: learning rate of Adam.
    """

    def __init__(self, network: nn.Module, head: nn.Module, *, name: str, view: str, lr: float) -> None:
        parameters = [*network.parameters(), *head.parameters()]
        super().__init__(
            modules={name: network, f"{name} head": head},
            optimizers={"adam": torch.optim.Adam(parameters, lr=lr)},
            schedule=cosine(),
        )
        self.name, self.view = name, view

    def step(self, batch: Batch, context: Context) -> Losses:
        logits = self.modules[f"{self.name} head"](self.modules[self.name](batch[self.view]))
        return {"labels": cross_entropy(logits, batch["label"])}


class SelectiveMimicry(Recognition):
    """Labels for every face; teacher features for the faces that are worth copying.

    Args:
        student: gives embeddings of the low view.
        head: gives logits.
        config: weights.
    """

    def __init__(self, student: nn.Module, head: nn.Module, config: SKDConfig) -> None:
        super().__init__(student, head, name="student", view="low", lr=config.lr)
        self.weight = config.feature_weight

    def step(self, batch: Batch, context: Context) -> Losses:
        found = self.modules["student"](batch["low"])
        labels = cross_entropy(self.modules["student head"](found), batch["label"])
        copied = feature_distance(found, batch["feature"], weights=batch["keep"])
        return {"labels": labels, "features": self.weight * copied}


CARD = Card(
    title="a small student for low-resolution faces, which copies the teacher's features where they are worth it",
    paper="Ge, Zhao, Li, Yao. Low-resolution Face Recognition in the Wild via Selective Knowledge Distillation. IEEE TIP "
    "2019, arXiv 1811.09998",
    from_paper=(
        "two streams: a large teacher on high resolution, a small student on low resolution",
        "two losses: regression of selected features, classification of low-resolution faces",
        "the selection is made on a sparse graph of the faces",
    ),
    reconstructed=("The energy of the selection and its solver.",),
    ours=(
        "Embeddings are unit vectors and heads are scaled cosines.",
        "The student takes faces of any size: LRNet16 for 16x16, three blocks for others.",
    ),
    proof="not measured yet",
    private_statistics=("the features of the teacher on all rows, which decide what is selected",),
)


def student_for(shape: tuple[int, ...], dim: int) -> nn.Module:
    """The student for faces of a shape (channels, height, width)."""
    channels, height, width = shape
    if height != width:
        raise ValueError(f"low views are {height}x{width}; a student takes square faces: crop or resize them")
    return LRNet16(dim, channels) if height == LRNet16.side else SmallNet(height, 16, dim, channels)


@register("skd")
def skd(config: SKDConfig = SKDConfig(), *, teacher: nn.Module | None = None) -> Recipe[PairedViews]:
    """The recipe `skd`; deploys `student`, which gives embeddings of low views.

    Args:
        config: settings of the selection and of the training.
        teacher: gives embeddings of high views, shape (b, d). None trains one on the high views of these data, which is a
            weaker teacher than one that has seen more.
    """

    def stages(views: PairedViews) -> Sequence[Stage]:
        require_labels(views)
        channels, side, _ = views.high.shape[1:]
        network = teacher or SmallNet(side, 16, config.dim, channels)
        dim = embeddings(network, views.high[:2]).shape[1]
        student, head = student_for(tuple(views.low.shape[1:]), dim), CosineHead(dim, views.classes)

        def selected() -> PairedViews:
            feature = embeddings(network, views.high)
            keep = robust_selection(feature, views.labels, config.rule())
            return views.with_column("feature", feature).with_column("keep", keep.float())

        mimicry = SelectiveMimicry(student, head, config)
        learning = Stage("student", mimicry, selected, epochs=config.epochs)
        if teacher is not None:
            mimicry.frozen["teacher"] = teacher
            return [learning]
        task = Recognition(network, CosineHead(dim, views.classes), name="teacher", view="high", lr=config.lr)
        return [Stage("teacher", task, views, epochs=config.teacher_epochs), learning]

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


def require_labels(views: PairedViews) -> None:
    """Refuse pairs that a recogniser cannot learn from.

    Raises:
        ValueError: a row has no identity, or there are fewer than two.
    """
    if (views.labels < 0).any():
        raise ValueError(f"paired views {views.name!r} have rows without a label; take the labelled rows")
    if len(views.labels.unique()) < 2:
        raise ValueError(f"paired views {views.name!r} show one identity only; at least two are needed")
