"""An ensemble of teachers on disjoint shards: one record, one shard, one teacher, one vote.

This is what turns a non-private training method into bounded influence of a record: whatever the training does, one
changed record changes one teacher, and one teacher has one vote per query. Conditions (printed in every certificate):
ids do not depend on a record's content, a teacher's training sees its own shard only, classes are public.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from accountants import Ledger, check
from privkd.data.arrays import input_tensor, to_array
from privkd.data.labels import Classes, ClassesGiven, class_indices
from privkd.errors import TeacherError
from privkd.private import Private
from privkd.progress import track
from privkd.teachers.shard_training import Member, train_member
from privkd.teachers.sharding import Manifest, assign_shards, draw_key, refuse_repeated, shards_hash

MakeModel = Callable[[], Any]


class TeacherEnsemble:
    """Teachers that saw disjoint records. Build it with `fit`, or with `from_members` for teachers trained elsewhere.

    Attributes:
        manifest: public facts about the shards.
        input_shape: shape of one input.
        ledger: every release of these teachers' votes so far, without a cap, adjacency replace-one; mechanisms charge it
            beside the release's own ledger, so it tells what all releases together cost.
    """

    adjacency = "replace-one"

    def __init__(self, members: Sequence[Member], manifest: Manifest, input_shape: tuple[int, ...]) -> None:
        self._members = tuple(members)
        self.manifest = manifest
        self.input_shape = input_shape
        self.ledger = Ledger(adjacency=self.adjacency, unit="training-record", n=manifest.records)

    @classmethod
    def fit(
        cls,
        make_model: MakeModel,
        inputs: Any,
        labels: Any,
        *,
        teachers: int = 100,
        ids: Sequence[object] | None = None,
        key: bytes | None = None,
        classes: int | None = None,
    ) -> TeacherEnsemble:
        """Train one teacher per shard, through joblib (so `joblib.parallel_config` chooses where).

        Args:
            make_model: function without arguments that returns a fresh `nn.Module` (logits out) or scikit-learn
                classifier. Its settings must not have been tuned on all of the private records.
            inputs: private inputs, array or tensor, shape (n, ...).
            labels: private classes, integers in [0, K), shape (n,).
            teachers: number of shards, >= 2. More teachers: less noise per vote, fewer records per teacher.
            ids: one id per record that does not depend on its content; default: the position. A replaced record keeps
                its id. Ids that name persons must not repeat.
            key: at least 16 bytes for the keyed hash; default: drawn until no shard is empty.
            classes: number of classes K, public knowledge; default: largest label + 1, which the certificate then says.

        Returns:
            The ensemble.

        Raises:
            ValueError: lengths differ, ids repeat, a shard is empty, a label is no class, an input is not finite.
            TeacherError: more than half of the teachers could not be trained.
        """
        check.integer(teachers=teachers, at_least=2)
        x, y, known = _checked(inputs, labels, classes)
        count = known.count
        names = [str(position) for position in range(len(x))] if ids is None else [str(name) for name in ids]
        if len(names) != len(x):
            raise ValueError(f"{len(names)} ids for {len(x)} records; give one id per record")
        key = draw_key(names, teachers) if key is None else key
        shard = assign_shards(names, teachers, key)
        members = _train_all(make_model, x, y, shard, teachers=teachers, classes=count, key=key)
        listed = [[names[i] for i in np.flatnonzero(shard == t)] for t in range(teachers)]
        manifest = Manifest(teachers, len(x), count, shards_hash(listed), keyed=True, declared_classes=known.declared)
        return cls(members, manifest, tuple(x.shape[1:]))

    @classmethod
    def from_members(
        cls, models: Sequence[Any], *, shards: Sequence[Sequence[object]], classes: int, input_shape: tuple[int, ...]
    ) -> TeacherEnsemble:
        """An ensemble of teachers that were trained elsewhere.

        Args:
            models: fitted `nn.Module`s or scikit-learn classifiers.
            shards: ids of the records that each model saw, in the same order.
            classes: number of classes K.
            input_shape: shape of one input.

        Raises:
            ValueError: fewer than two models, models that share parameters, an empty shard, or shards that overlap.
        """
        check.integer(teachers=len(models), at_least=2)
        if len(shards) != len(models):
            raise ValueError(f"{len(shards)} shards for {len(models)} models; give the record ids of every model")
        listed = [[str(name) for name in shard] for shard in shards]
        empty = [position for position, shard in enumerate(listed) if not shard]
        if empty:
            raise ValueError(f"shards {empty[:5]} are empty; every teacher needs records of its own")
        for shard in listed:
            refuse_repeated(shard)
        try:
            refuse_repeated([name for shard in listed for name in shard])
        except ValueError as error:
            raise ValueError(f"the shards overlap: {error}") from None
        _refuse_shared(models)
        members = [Member(model, classes) for model in models]
        manifest = Manifest(
            len(models), sum(map(len, listed)), classes, shards_hash(listed), keyed=False, declared_classes=True
        )
        return cls(members, manifest, tuple(input_shape))

    @property
    def classes(self) -> int:
        """Number of classes K."""
        return self.manifest.classes

    @property
    def modules(self) -> list[nn.Module]:
        """The teachers that are torch modules. They are private: nothing of them may enter a release."""
        return [member.model for member in self._members if isinstance(member.model, nn.Module)]

    def __len__(self) -> int:
        return len(self._members)

    def __repr__(self) -> str:
        m = self.manifest
        return f"TeacherEnsemble({m.teachers} teachers, {m.records} records, {m.classes} classes)"

    def votes(self, queries: Tensor, groups: Tensor | None = None) -> Private:
        """Vote counts, boxed: they are private until a mechanism has randomized them.

        Args:
            queries: public inputs, shape (n, ...).
            groups: group index per query, int64, shape (n,); a teacher answers a group with the mean of its one-hot
                answers over the members, so one teacher still weighs one per row. Default: every query by itself.

        Returns:
            Counts, float64, shape (rows, K); every row sums to the number of teachers.

        Raises:
            ValueError: queries do not have the ensemble's input shape, or a group is empty.
            TeacherError: more than half of the teachers failed (NaN, wrong shape, an exception). Fewer than that
                answer class 0, silently, because whether one fails may depend on one record.
        """
        if tuple(queries.shape[1:]) != self.input_shape:
            raise ValueError(f"queries have shape {tuple(queries.shape)}, the teachers take (n, {self.input_shape})")
        if not len(queries):
            raise ValueError("0 queries were given; at least one is needed")
        rows = torch.arange(len(queries)) if groups is None else groups.cpu()
        sizes = torch.bincount(rows)
        if len(rows) != len(queries) or (sizes == 0).any():
            raise ValueError("groups must give every query a group, and every group index below the largest a query")
        weight = (1.0 / sizes.double())[rows]
        counts = torch.zeros(len(sizes), self.classes, dtype=torch.float64)
        x = queries.detach().cpu().float()
        failures: list[str] = []
        with track("asking the teachers", len(self._members)) as advance:
            for member in self._members:
                try:
                    answers = member.predict(x)
                except TeacherError as error:  # a fixed answer: whether one teacher fails may depend on one record
                    failures.append(str(error))
                    answers = torch.zeros(len(x), dtype=torch.int64)
                counts.index_put_((rows, answers), weight, accumulate=True)
                advance()
        _refuse_broken(failures, len(self._members))
        return Private(counts, origin=f"vote counts of {len(self._members)} teachers", ledger=self.ledger)


def _train_all(make_model, x, y, shard, *, teachers: int, classes: int, key: bytes) -> list[Member]:
    from joblib import Parallel, delayed

    jobs = (
        delayed(train_member)(make_model, x[shard == t], y[shard == t], classes=classes, key=key, position=t)
        for t in range(teachers)
    )
    empty = sorted(set(range(teachers)) - set(shard.tolist()))
    if empty:
        raise ValueError(
            f"shards {empty[:5]} are empty under this key; leave key=None (a key without empty shards is drawn), or use "
            f"fewer than teachers={teachers}"
        )
    members = []
    with track(f"training {teachers} teachers", teachers) as advance:
        for member in Parallel(return_as="generator")(jobs):
            members.append(member)
            advance()
    _refuse_broken([member.failure for member in members if member.failure is not None], teachers)
    return members


def _refuse_broken(failures: list[str], teachers: int) -> None:
    """Most teachers failing is a fault of the model, not of a record."""
    if 2 * len(failures) > teachers:
        raise TeacherError(f"more than half of the {teachers} teachers failed; one of them: {failures[0]}")


def _refuse_shared(models: Sequence[Any]) -> None:
    owners: dict[int, int] = {}
    for position, model in enumerate(models):
        parts = [model, *model.parameters()] if isinstance(model, nn.Module) else [model]
        for part in parts:
            if owners.setdefault(id(part), position) != position:
                raise ValueError(
                    f"models {owners[id(part)]} and {position} share an object: one of them saw the other's records. Train "
                    "every model afresh on its own shard"
                )


def _checked(inputs: Any, labels: Any, classes: ClassesGiven | None) -> tuple[np.ndarray, np.ndarray, Classes]:
    """Private inputs float32 (n, ...), class indices int64 (n,), and the classes; which record is wrong is never said."""
    x = input_tensor(inputs, role="inputs").numpy()
    y = to_array(labels, role="labels", text=True)
    if x.ndim not in (2, 4) or x.shape[:1] != y.shape[:1] or not x.size:
        raise ValueError(
            f"inputs {x.shape} and labels {y.shape}: (n, d), (n, height, width) or (n, channels, height, width), and (n,), "
            "with one n >= 1, are needed"
        )
    if not np.isfinite(x).all():
        raise ValueError("inputs contain NaN, infinite values or values beyond float32; drop or repair those records")
    indices, known = class_indices(y, classes, role="labels")
    return x, indices, known
