"""An ensemble of teachers on disjoint shards: one record, one shard, one teacher, one vote.

This is what turns a non-private training method into bounded influence of a record: whatever the training does, one
changed record changes one teacher, and one teacher has one vote per query. Conditions (printed in every certificate):
ids do not depend on a record's content, a teacher's training sees its own shard only, classes are public.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from accountants import Ledger, check
from privkd.data.arrays import input_tensor
from privkd.data.labels import ClassesGiven, Label
from privkd.data.ranges import warn_of_other_range
from privkd.mechanisms.private_value import Private
from privkd.progress import track, working
from privkd.teachers.fitting import ADJACENCY, EnsembleParts, brought_parts, counting_ledger, fitted_parts
from privkd.teachers.member import MakeModel
from privkd.teachers.member_training import Training
from privkd.teachers.teacher import Teacher, TeacherKind


class TeacherEnsemble(Teacher):
    """Teachers that saw disjoint records. Build it with `fit`, or with `from_members` for teachers trained elsewhere.

    Attributes:
        manifest: public facts about the shards.
        input_shape: shape of one input.
        ledger: every release of these teachers' votes so far, adjacency replace-one; mechanisms charge it beside the
            release's own ledger, so it tells what all releases together cost. The caller's own, or a new one without a cap.
        rows: digests of the private rows, where `fit` saw them: they tell the owner which public queries are private records.
    """

    kind = TeacherKind.ENSEMBLE
    knows_inputs = True
    adjacency = ADJACENCY

    def __init__(self, parts: EnsembleParts) -> None:
        if not isinstance(parts, EnsembleParts):
            raise TypeError(
                f"parts is {type(parts).__name__}; ensembles are made by TeacherEnsemble.fit, .from_members or .load"
            )
        self.manifest, self.input_shape, self.rows = parts.manifest, parts.input_shape, parts.rows
        self._members, self._size = parts.members, parts.size
        self.records, self.teachers = parts.manifest.records, parts.manifest.teachers
        self.ledger = counting_ledger(parts.ledger, records=self.records)

    @classmethod
    @working("preparing and training an ensemble of teachers")
    def fit(
        cls,
        make_model: MakeModel,
        inputs: Any,
        labels: Any,
        *,
        teachers: int = 100,
        ids: Sequence[object] | None = None,
        key: bytes | None = None,
        classes: ClassesGiven | None = None,
        ledger: Ledger | None = None,
        steps: int = 300,
        batch_size: int = 64,
        learning_rate: float = 2e-3,
    ) -> TeacherEnsemble:
        """Train one teacher per shard, through joblib (so `joblib.parallel_config` chooses where).

        First a teacher is trained and asked on made-up rows: what makes every shard fail is an error, and a public one. A
        shard that fails on its private rows is a teacher that votes for class 0, and nothing tells that it did: neither an
        exception nor a warning or log line of a model gets out. Where joblib uses processes, a model that cannot be pickled
        once it is fitted fails, too.

        Args:
            make_model: function without arguments that returns a fresh `nn.Module` (logits out) or scikit-learn
                classifier. Its settings must not have been tuned on all of the private records.
            inputs: private inputs, shape (n, ...), of any kind that `privkd.data.load` takes as arrays: uint8 is divided by
                255, every other dtype keeps its values.
            labels: private classes, shape (n,): whole numbers, booleans or text.
            teachers: number of shards, >= 2. More teachers: less noise per vote, fewer records per teacher.
            ids: one id per record that does not depend on its content; default: the position. A replaced record keeps
                its id. Ids that name persons must not repeat.
            key: at least 16 bytes for the keyed hash; default: drawn until no shard is empty.
            classes: public knowledge: number of classes K of labels 0..K-1, or what the classes are called, in the order of
                their indices, which students then answer with. Text and numbers that do not count from 0 need the second.
                Default: False and True for booleans; else largest label + 1, which the certificate then says.
            ledger: counts every release from these records, of these teachers or not; adjacency replace-one, unit
                training-record. With a budget nothing is released beyond it. Default: a new one without a budget.
            steps: optimiser steps of a teacher that is an `nn.Module` (Adam), >= 1.
            batch_size: records per step of such a teacher, >= 1; smaller shards are used whole.
            learning_rate: of such a teacher, > 0.

        Returns:
            The ensemble.

        Raises:
            ValueError: lengths differ, ids repeat, a shard is empty, a label is no class, an input is not finite.
            TypeError: `make_model` gives no model.
            TeacherError: a teacher cannot be trained on made-up rows, or its answers are no classes.
        """
        check.integer(teachers=teachers, at_least=2)
        training = Training(steps=steps, batch_size=batch_size, learning_rate=learning_rate)
        settings = {"ids": ids, "key": key, "classes": classes, "ledger": ledger, "training": training}
        return cls(fitted_parts(make_model, inputs, labels, teachers=int(teachers), **settings))

    @classmethod
    def from_members(
        cls,
        models: Sequence[Any],
        *,
        shards: Sequence[Sequence[object]],
        classes: ClassesGiven,
        input_shape: tuple[int, ...],
        ledger: Ledger | None = None,
    ) -> TeacherEnsemble:
        """An ensemble of teachers that were trained elsewhere.

        Args:
            models: fitted `nn.Module`s or scikit-learn classifiers.
            shards: ids of the records that each model saw, in the same order.
            classes: number of classes K, or what the classes are called, in the order of the indices that the models answer.
            input_shape: shape of one input.
            ledger: as in `fit`.

        Raises:
            ValueError: fewer than two models, models that share parts, an empty shard, or shards that overlap.
            TypeError: a model neither is an `nn.Module` nor can predict.
        """
        return cls(brought_parts(models, shards=shards, classes=classes, input_shape=input_shape, ledger=ledger))

    def save(self, directory: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the ensemble to a folder that is as PRIVATE as the records, and bind its ledger to the file there.

        Torch members become safetensors, scikit-learn members `skops` files; nothing is pickled. From now on every release is
        written into the folder's `ledger.json` before its noise is drawn. A ledger that lies in a file already stays there,
        and the folder refers to it.

        Args:
            directory: the folder to make, with mode 0700.
            overwrite: whether an ensemble there may be replaced, if this one's ledger counts all of its releases.

        Returns:
            The folder.

        Raises:
            FileExistsError: something is there, and `overwrite` is not set or it is no ensemble.
            LedgerError: the ensemble there was charged for releases that this ledger does not count.
            TypeError: `skops` cannot write a member.
        """
        from privkd.teachers.files.ensembles import write_ensemble

        parts = EnsembleParts(self._members, self.manifest, self.input_shape, self.ledger, self.rows, self._size)
        self.ledger = write_ensemble(parts, directory, overwrite=overwrite)
        return Path(directory)

    @classmethod
    def load(
        cls,
        directory: str | os.PathLike[str],
        *,
        make_model: MakeModel | None = None,
        trusted: Collection[str] = (),
        ledger: Ledger | None = None,
    ) -> TeacherEnsemble:
        """The ensemble in a folder, bound to its ledger: what was released is counted, and what will be is written there.

        Args:
            directory: a folder that `save` made.
            make_model: builds a fresh network, for members of a class that privkd does not build itself: the function
                that the ensemble was fitted with.
            trusted: names of types in scikit-learn members that may be built although `skops` does not trust them.
            ledger: the ledger that the ensemble shares with others, where its file has moved.

        Raises:
            CheckpointError: a file is missing, changed or damaged, or a member needs `make_model` or `trusted`.
            LedgerError: the ledger is missing or damaged, or lacks what was released before the ensemble was saved.
        """
        from privkd.teachers.files.ensembles import read_ensemble

        return cls(read_ensemble(directory, make_model=make_model, trusted=trusted, ledger=ledger))

    @property
    def classes(self) -> int:
        """Number of classes K."""
        return self.manifest.classes

    @property
    def labels(self) -> tuple[Label, ...] | None:
        """What the classes are called, by index, if they were named; public."""
        return self.manifest.labels

    @property
    def data_ledger(self) -> Ledger:
        return self.ledger

    @property
    def counting(self) -> tuple[Ledger, ...]:
        return (self.ledger,)

    def require_same_records(self, count: int) -> None:
        if count != self.records:
            raise ValueError(
                f"records= holds {count} records, the ensemble was fitted on {self.records}; give the same records"
            )

    def warn_of_other_range(self, queries: Tensor | None, *, low: float, high: float) -> None:
        warn_of_other_range(self._size, queries, low=low, high=high)

    def count_in(self, ledger: Ledger) -> None:
        """Count the releases of these teachers in a common ledger, from the first one on.

        Raises:
            ValueError: they are counted in another one: whoever reads either would miss the others.
        """
        own = self.ledger
        if own is ledger or (own.path is not None and own.path == ledger.path):
            return
        if own.path is not None or own.charges:
            where = (
                f"the file {own.path}" if own.path is not None else f"a ledger of their own, {len(own.charges)} so far"
            )
            raise ValueError(
                f"releases of these teachers are counted in {where}; another ledger would miss them. Give ledger= to "
                "TeacherEnsemble.fit, or use that file as the ledger of everything from these records"
            )
        self.ledger = counting_ledger(ledger, records=self.manifest.records)

    @property
    def failures(self) -> Private:
        """For every teacher whether it failed in training or cannot answer made-up queries, as 0 or 1, float64, shape (T, 1).

        Boxed: one record may decide it. `transcribe(..., count_failures=True)` releases a noisy count.
        """
        failed = torch.tensor([[float(member.failed)] for member in self._members], dtype=torch.float64)
        return Private(failed, origin="which teachers failed", ledgers=[self.ledger])

    @property
    def models(self) -> list[Any]:
        """The fitted models. They are private: nothing of them may enter a release."""
        return [member.model for member in self._members if not isinstance(member.model, int)]

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
        x = input_tensor(queries, role="queries")
        with track(f"asking {len(self._members)} teachers about {len(x)} inputs", len(self._members)) as advance:
            for member in self._members:
                counts.index_put_((rows, member.predict(x)), weight, accumulate=True)
                advance()
        return Private(counts, origin=f"vote counts of {len(self._members)} teachers", ledgers=[self.ledger])
