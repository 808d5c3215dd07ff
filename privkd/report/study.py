"""What a report says, as plain data: JSON out, JSON in, every field checked. Knows no HTML and no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

from accountants import check
from privkd.certificates.scopes import BASES

SCHEMA = "privkd.report/2"
WANTED_EPSILON = 3.0
"""Nats; a student at most this expensive is recommended where nobody says another limit."""
_MAX_TEXT = 20_000
_MAX_IMAGES = 256
_MAX_SIDE = 256

Part = TypeVar("Part")


@dataclass(frozen=True, kw_only=True)
class Result:
    """One row of the results table.

    Attributes:
        name: folder of the release that the row is about; "" for a model that is not released.
        method: how the student was made, a few words; rows with one method make one curve.
        scope: what the guarantee is about, as in the certificate; "none" where nothing is guaranteed.
        epsilon: in that scope, nats, >= 0; None where nothing is guaranteed.
        delta: failure mass, in [0, 1); None where nothing is guaranteed.
        accuracy: share of test records that are classified correctly, mean over runs, in [0, 1]; None if not measured.
        ceiling: largest mean agreement with its teacher that the guarantee allows a student without data, or None.
        note: what a reader must know about the row.

    Raises:
        TypeError: a field has the wrong type.
        ValueError: a field is out of range.
    """

    name: str
    method: str
    scope: str = "none"
    epsilon: float | None = None
    delta: float | None = None
    accuracy: float | None = None
    ceiling: float | None = None
    note: str = ""

    def __post_init__(self) -> None:
        _require_texts(self)
        if self.epsilon is not None:
            check.real(epsilon=self.epsilon, at_least=0.0)
        if self.delta is not None:
            check.real(delta=self.delta, at_least=0.0, below=1.0)
        for name, share in (("accuracy", self.accuracy), ("ceiling", self.ceiling)):
            if share is not None:
                check.real(**{name: share}, at_least=0.0, at_most=1.0)


@dataclass(frozen=True, kw_only=True)
class Attack:
    """Ceilings on every attack that asks whether given private data were used.

    Attributes:
        even_odds: largest share of right answers when both cases are equally likely, in [0.5, 1].
        false_alarms: share of false alarms that the attacker may raise, in [0, 1].
        found: largest share of true cases that it finds then, in [0, 1].

    Raises:
        TypeError: a field is no number.
        ValueError: a field is out of range.
    """

    even_odds: float
    false_alarms: float
    found: float

    def __post_init__(self) -> None:
        check.real(even_odds=self.even_odds, at_least=0.5, at_most=1.0)
        check.real(false_alarms=self.false_alarms, at_least=0.0, at_most=1.0)
        check.real(found=self.found, at_least=0.0, at_most=1.0)


@dataclass(frozen=True, kw_only=True)
class Release:
    """One released student: its claim, and whether the claim was proven again from its ledger.

    Attributes:
        name: its folder, relative to the report.
        method: how it was made, as in the transcription: "votes", "cells", "gnmax", "dpsd", "certified".
        certificate: its JSON form, with the printed sentence; None if it could not be read.
        charges: rows of its ledger: event (expression), count, entries (how many ledger entries), where.
        digest: hash of the ledger's last entry; "" if it could not be read.
        verified: the recomputed bound, for people; "" if the claim does not hold.
        problem: why the claim must not be believed; "" if it holds.
        attack: what the best attack can reach, recomputed; None where the claim is about no private data or fails.
        ceiling: largest mean agreement with its teacher that the claim allows a student without data, or None.

    Raises:
        TypeError: a field has the wrong type.
        ValueError: neither `verified` nor `problem` is given, or both are.
    """

    name: str
    method: str
    certificate: dict[str, Any] | None
    charges: tuple[dict[str, Any], ...]
    digest: str
    verified: str
    problem: str = ""
    attack: Attack | None = None
    ceiling: float | None = None

    def __post_init__(self) -> None:
        _require_texts(self)
        if bool(self.verified) == bool(self.problem):
            raise ValueError(f"release {self.name!r} must be either verified or have a problem, not both or neither")
        if self.certificate is not None and not isinstance(self.certificate.get("sentence"), str):
            raise TypeError(f"certificate of release {self.name!r} has no sentence")

    @property
    def scope(self) -> str:
        """What the certificate is about; "none" without a certificate that holds."""
        return str(self.certificate["scope"]) if self.certificate is not None and not self.problem else "none"

    @property
    def is_declared(self) -> bool:
        """Whether the guarantee rests on what somebody declared, which nobody can compute again."""
        claim = {} if self.problem else self.certificate or {}
        declared = BASES["declared"] in claim.get("conditions", ())
        return declared or str(claim.get("accountant")).startswith("declared by")

    @property
    def void(self) -> str:
        """Why the release has no guarantee although its certificate tells the truth; "" if it has one."""
        claim = self.certificate
        if self.problem or claim is None:
            return ""
        if claim.get("leaks"):
            return "private data leaked into it: " + "; ".join(claim["leaks"])
        if not claim.get("secure_rng", True):
            return "its noise was seeded, so whoever knows the seed can take it off"
        return "no noise was added" if claim["scope"] == "none" else ""


@dataclass(frozen=True, kw_only=True)
class Samples:
    """A few released synthetic queries.

    Attributes:
        images: grey (height, width) or colour (height, width, 3) images as nested lists of integers in [0, 255].
        caption: what they are.

    Raises:
        TypeError: the caption is no string.
        ValueError: images are ragged, too many, too large or out of range.
    """

    images: list[Any]
    caption: str

    def __post_init__(self) -> None:
        import numpy as np

        _require_texts(self)
        array = np.asarray(self.images)
        if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[3] != 3) or array.dtype.kind not in "iu":
            raise ValueError(
                f"images have shape {array.shape} and type {array.dtype}; integers of shape (n, height, "
                "width) or (n, height, width, 3) are needed"
            )
        if not 1 <= len(array) <= _MAX_IMAGES or max(array.shape[1:3]) > _MAX_SIDE:
            raise ValueError(f"images have shape {array.shape}; at most {_MAX_IMAGES} of side {_MAX_SIDE} are shown")
        if array.min() < 0 or array.max() > 255:
            raise ValueError(f"images span {array.min()}..{array.max()}; allowed are 0 to 255")


@dataclass(frozen=True, kw_only=True)
class Study:
    """Everything that a report says.

    Attributes:
        title: of the page.
        summary: data and task, one paragraph.
        results: rows of the results table.
        releases: released students with their certificates and ledgers.
        notes: how to read the results table.
        not_protected: what is not protected in this study, beyond what is true of every release.
        samples: synthetic queries to look at.
        wanted_epsilon: the largest epsilon, nats, > 0, at which a student is recommended.
        created: UTC, ISO 8601.
        library_version: of privkd.

    Raises:
        TypeError: a field has the wrong type.
    """

    title: str
    summary: str
    results: tuple[Result, ...] = ()
    releases: tuple[Release, ...] = ()
    notes: tuple[str, ...] = ()
    not_protected: tuple[str, ...] = ()
    samples: Samples | None = None
    wanted_epsilon: float = WANTED_EPSILON
    created: str = ""
    library_version: str = ""

    def __post_init__(self) -> None:
        _require_texts(self)
        check.real(wanted_epsilon=self.wanted_epsilon, above=0.0)
        for name in ("notes", "not_protected"):
            _require_text(**{f"{name}[{i}]": text for i, text in enumerate(getattr(self, name))})

    @property
    def voids(self) -> tuple[str, ...]:
        """One line per release that has no guarantee by its own certificate."""
        return tuple(f"{release.name}: {release.void}" for release in self.releases if release.void)

    @property
    def problems(self) -> tuple[str, ...]:
        """One line per release whose claim does not hold."""
        return tuple(f"{release.name}: {release.problem}" for release in self.releases if release.problem)

    def to_dict(self) -> dict[str, Any]:
        """JSON form, read back by `from_dict`."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Study:
        """Read the JSON form.

        Raises:
            ValueError: another schema, unknown or missing fields, or a value out of range.
            TypeError: a value of the wrong type.
        """
        values = dict(values)
        schema = values.pop("schema", None)
        if schema != SCHEMA:
            raise ValueError(f"schema={schema!r}; this version reads {SCHEMA!r}")
        for name, kind in (("results", Result), ("releases", Release)):
            values[name] = tuple(_built(kind, row) for row in _listed(values, name))
        for name in ("notes", "not_protected"):
            values[name] = _listed(values, name)
        if values.get("samples") is not None:
            values["samples"] = _built(Samples, values["samples"])
        return _built(cls, values)


def _built(kind: type[Part], values: Any) -> Part:
    names = {part.name for part in fields(kind)}  # pyright: ignore[reportArgumentType]
    if not isinstance(values, Mapping) or set(values) != names:
        found = sorted(map(str, values)) if isinstance(values, Mapping) else type(values).__name__
        raise ValueError(f"{kind.__name__} needs the fields {sorted(names)}, got {found}")
    values = dict(values)
    if "charges" in names:
        values["charges"] = _listed(values, "charges")
    if values.get("attack") is not None:
        values["attack"] = _built(Attack, values["attack"])
    return kind(**values)


def _listed(values: Mapping[str, Any], name: str) -> tuple[Any, ...]:
    value = values.get(name)
    if not isinstance(value, list | tuple):
        raise TypeError(f"{name}={type(value).__name__} must be a list")
    return tuple(value)


def _require_texts(part: Result | Release | Samples | Study) -> None:
    _require_text(**{field.name: getattr(part, field.name) for field in fields(part) if field.type == "str"})


def _require_text(**named: object) -> None:
    for name, value in named.items():
        if not isinstance(value, str):
            raise TypeError(f"{name}={value!r} must be a string")
        if len(value) > _MAX_TEXT:
            raise ValueError(f"{name} has {len(value)} characters; allowed are at most {_MAX_TEXT}")
