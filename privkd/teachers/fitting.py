"""What an ensemble consists of, and how it is made from private records or from models that were trained elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from accountants import Ledger, check
from privkd.certificates.other_releases import require_ledger
from privkd.data.arrays import input_tensor, to_array
from privkd.data.labels import Classes, ClassesGiven, class_indices, declared_classes
from privkd.data.ranges import typical_size
from privkd.progress import track
from privkd.teachers.member import MakeModel, Member
from privkd.teachers.member_training import Training, received, rehearse_training, train_member
from privkd.teachers.row_digests import RowDigests
from privkd.teachers.shards import Manifest, assign_shards, draw_key, refuse_repeated, shards_hash
from privkd.teachers.sharing import common_part
from privkd.teachers.transport import this_process

ADJACENCY = "replace-one"
_UNIT = "training-record"


@dataclass(frozen=True, slots=True)
class EnsembleParts:
    """The parts of an ensemble.

    Attributes:
        members: the teachers.
        manifest: public facts about the shards.
        input_shape: shape of one input.
        ledger: counts every release of the teachers.
        rows: digests of the private rows, if they were seen.
        size: their typical size (`privkd.data.ranges`): private, for a warning to the owner.
    """

    members: tuple[Member, ...]
    manifest: Manifest
    input_shape: tuple[int, ...]
    ledger: Ledger
    rows: RowDigests | None = None
    size: float | None = None


def counting_ledger(ledger: Ledger | None, *, records: int) -> Ledger:
    """A ledger that may count the releases of an ensemble: the given one, or a new one without a budget.

    Raises:
        TypeError, ValueError: as `require_ledger`.
    """
    if ledger is None:
        ledger = Ledger(adjacency=ADJACENCY, unit=_UNIT, n=records)
    return require_ledger(ledger, adjacency=ADJACENCY, unit=_UNIT, n=records)


def fitted_parts(
    make_model: MakeModel,
    inputs: Any,
    labels: Any,
    *,
    teachers: int,
    ids: Sequence[object] | None,
    key: bytes | None,
    classes: ClassesGiven | None,
    ledger: Ledger | None,
    training: Training,
) -> EnsembleParts:
    """Train one teacher per shard; arguments and errors are those of `TeacherEnsemble.fit`."""
    x, y, known = _checked(inputs, labels, classes)
    names = [str(position) for position in range(len(x))] if ids is None else [str(name) for name in ids]
    if len(names) != len(x):
        raise ValueError(f"{len(names)} ids for {len(x)} records; give one id per record")
    key = draw_key(names, teachers) if key is None else key
    shard = assign_shards(names, teachers, key)
    shape, smallest = tuple(x.shape[1:]), _smallest(shard, teachers)
    rehearse_training(make_model, shape=shape, classes=known.count, rows=smallest, training=training)
    members = _train_all(make_model, x, y, shard, teachers=teachers, classes=known.count, key=key, training=training)
    listed = [[names[i] for i in np.flatnonzero(shard == t)] for t in range(teachers)]
    counting = counting_ledger(ledger, records=len(x))
    return EnsembleParts(
        members, _manifest(listed, known, keyed=True), shape, counting, rows=RowDigests(x), size=typical_size(x)
    )


def brought_parts(
    models: Sequence[Any],
    *,
    shards: Sequence[Sequence[object]],
    classes: ClassesGiven,
    input_shape: tuple[int, ...],
    ledger: Ledger | None,
) -> EnsembleParts:
    """Teachers that were trained elsewhere; arguments and errors are those of `TeacherEnsemble.from_members`."""
    check.integer(teachers=len(models), at_least=2)
    known, input_shape = declared_classes(classes), tuple(int(size) for size in input_shape)
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
    members = tuple(Member(model, known.count).tested(input_shape) for model in models)
    manifest = _manifest(listed, known, keyed=False)
    return EnsembleParts(members, manifest, input_shape, counting_ledger(ledger, records=manifest.records))


def _manifest(shards: Sequence[Sequence[str]], known: Classes, *, keyed: bool) -> Manifest:
    return Manifest(
        teachers=len(shards),
        records=sum(map(len, shards)),
        classes=known.count,
        shards_hash=shards_hash(shards),
        keyed=keyed,
        declared_classes=known.declared,
        labels=known.labels,
    )


def _train_all(
    make_model, x, y, shard, *, teachers: int, classes: int, key: bytes, training: Training
) -> tuple[Member, ...]:
    from joblib import Parallel, delayed

    settings = {"classes": classes, "key": key, "training": training, "home": this_process()}
    # A shard travels as a pair, inside its job: given by themselves, arrays would be sent to one worker of a Dask cluster ahead
    # of the job, and be lost for good with it.
    jobs = (
        delayed(train_member)(make_model, (x[shard == t], y[shard == t]), position=t, **settings)
        for t in range(teachers)
    )
    members = []
    with track(f"training {teachers} teachers", teachers) as advance:
        for sent in Parallel(return_as="generator")(jobs):
            members.append(received(sent, classes=classes, shape=x.shape[1:]))
            advance()
    return tuple(members)


def _smallest(shard: np.ndarray, teachers: int) -> int:
    """Records in the smallest shard: a public number, as ids do not depend on what records hold.

    Raises:
        ValueError: it is empty.
    """
    sizes = np.bincount(shard, minlength=teachers)
    empty = np.flatnonzero(sizes == 0).tolist()
    if empty:
        raise ValueError(
            f"shards {empty[:5]} are empty under this key; leave key=None (a key without empty shards is drawn), or use "
            f"fewer than teachers={teachers}"
        )
    return int(sizes.min())


def _refuse_shared(models: Sequence[Any]) -> None:
    """Refuse models with a common part or common memory: one of them saw the other's records."""
    for position, model in enumerate(models):
        if not isinstance(model, nn.Module) and not hasattr(model, "predict"):
            raise TypeError(
                f"model {position} is {type(model).__name__}; an nn.Module or a fitted scikit-learn classifier is needed"
            )
    common = common_part(models)
    if common is not None:
        raise ValueError(
            f"models {common[0]} and {common[1]} share an object or its memory: one of them saw the other's records. Train "
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
