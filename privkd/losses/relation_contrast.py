"""Contrast of relations: what a teacher's row is to another one, a student's row must be to it, too."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from accountants import check
from privkd.losses.contrast import FeatureQueue
from privkd.losses.rows import full_precision, require_rows, require_same_shape, unit

_LEAST = 3  # rows: below, a relation has no negative worth the name, and both relation networks can collapse


class RelationContrast(nn.Module):
    """Contrastive distillation of relations: student pairs must be recognised by what the teacher's pairs look like.

    The relation of rows i and j is v_t[i, j] = F_t(t_i - t_j) for the teacher and v_s[i, j] = F_s(t_i - s_j) across; F are
    two-layer networks of this module, which must be trained with the student and are dropped afterwards. The pair (i, j)
    is positive with itself, and negative with (i, k), k != j.

    Args:
        width: of the embeddings of both sides, d >= 1.
        hidden: width of the relation networks: 64 for small students, 256 and more for large ones.
        form: "info_nce" (softmax over k), or "sigmoid": -log h(i, j) - sum over k of log(1 - h(i, k)), h = sigmoid(cos / tau),
            whose weight needs tuning.
        tau: temperature of the cosines, > 0.
        anchors: at most this many rows i of a batch; all rows are j and k.
        queue: this many student rows of past batches are further k; 0 for none. Its cost does not grow with the data.

    Source: complementary relation contrastive distillation, Zhu et al., arXiv 2103.16367; across resolutions, Zhang et al.,
        arXiv 2409.02555. In-batch negatives or a short queue replace their memory of all rows.

    Example:
        >>> with torch.random.fork_rng():
        ...     module = RelationContrast(8, hidden=16)
        >>> rows = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
        >>> module(rows, rows).shape
        torch.Size([])
    """

    def __init__(
        self,
        width: int,
        *,
        hidden: int = 64,
        form: Literal["info_nce", "sigmoid"] = "info_nce",
        tau: float = 0.1,
        anchors: int = 16,
        queue: int = 0,
    ) -> None:
        super().__init__()
        check.integer(width=width, hidden=hidden, anchors=anchors, at_least=1)
        check.integer(queue=queue, at_least=0)
        check.real(tau=tau, above=0.0)
        if form not in ("info_nce", "sigmoid"):
            raise ValueError(f"form={form!r} must be 'info_nce' or 'sigmoid'")
        self.form, self.tau, self.anchors = form, tau, anchors
        self.teacher_relation = _relation(width, hidden)
        self.student_relation = _relation(width, hidden)
        self.queue = FeatureQueue(queue, width) if queue else None

    def forward(
        self,
        student: Tensor,
        teacher: Tensor,
        *,
        labels: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, ""]:
        """The mean over anchors i and rows j of the loss of the pair (i, j).

        Args:
            student: embeddings, shape (n, d), n >= 3. In training mode they enter the queue, if there is one.
            teacher: embeddings of the same rows, projected to the same width, shape (n, d); detached.
            labels: int64, shape (n,): rows of the label of j are no negatives of it; -1 is not a label. A queue keeps labels.
            generator: on the CPU, draws the anchors; None takes the first rows.

        Raises:
            ValueError: shapes do not fit, or fewer than three rows.
        """
        require_rows(_LEAST, student=student, teacher=teacher)
        require_same_shape("project the teacher to the width of the student", student=student, teacher=teacher)
        if labels is not None and labels.shape != student.shape[:1]:
            raise ValueError(f"labels has shape {tuple(labels.shape)}; give one label per row, ({len(student)},)")
        teacher, count = teacher.detach(), len(student)
        drawn = torch.arange(count) if generator is None else torch.randperm(count, generator=generator)
        anchors = teacher[drawn[: self.anchors].to(teacher.device)]
        candidates = student if self.queue is None else torch.cat([student, self.queue.features.to(student)])
        of_teacher = self.teacher_relation(anchors[:, None] - teacher)
        of_student = self.student_relation(anchors[:, None] - candidates)
        loss = _contrast(of_teacher, of_student, self._false_negatives(labels, count), self.form, self.tau)
        if self.queue is not None and self.training:
            self.queue.push(student, labels)
        return loss

    def _false_negatives(self, labels: Tensor | None, count: int) -> Tensor | None:
        """Which candidates share the label of which row, shape (n, candidates), the row itself apart; or None."""
        if labels is None:
            return None
        known = labels if self.queue is None else torch.cat([labels, self.queue.ids.to(labels)])
        same = (labels[:, None] == known) & (labels[:, None] >= 0)
        same[:, :count] &= ~torch.eye(count, dtype=torch.bool, device=labels.device)
        return same


@full_precision
def _contrast(of_teacher: Tensor, of_student: Tensor, false_negatives: Tensor | None, form: str, tau: float) -> Tensor:
    """The loss of relations of a anchors, shapes (a, n, hidden) and (a, candidates >= n, hidden); column j answers row j."""
    scores = unit(of_teacher) @ unit(of_student).transpose(1, 2) / tau
    if false_negatives is not None:
        scores = scores.masked_fill(false_negatives, -torch.inf)
    rows = scores.shape[1]
    if form == "info_nce":
        target = torch.arange(rows, device=scores.device).expand(len(scores), rows)
        return functional.cross_entropy(scores.flatten(0, 1), target.flatten())
    positive = torch.eye(rows, scores.shape[2], dtype=torch.bool, device=scores.device)
    terms = -functional.logsigmoid(torch.where(positive, scores, -scores))
    return terms.sum(dim=2).mean()


def _relation(width: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, hidden))
