"""What the data loader really did, written down beside the events."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from accountants import check
from accountants.check import shown
from accountants.events.event import MAX_COUNT
from accountants.ledger.entries import as_text

KINDS = ("poisson", "fixed-size", "shuffled", "random-allocation", "full")

_NAMED = 5  # unknown fields that a message names
_LEAST = {"batch": 1, "n": 1, "selected": 1, "epochs": 1, "steps": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """How batches were drawn, as the loader states it; what is None is not stated and not compared.

    Attributes:
        kind: "poisson" (every record enters a batch independently), "fixed-size" (a fresh random batch of fixed size
            every step), "shuffled" (an epoch is one random order, cut into batches), "random-allocation" (every
            record enters `selected` steps of an epoch, drawn at random) or "full" (every record, every step).
        q: probability with which a record enters a batch; for Poisson batches, batch / n where only these are stated.
        batch: records in a batch, on average for Poisson batches.
        n: records to draw from; the ledger's n where only that is stated.
        selected: steps of an epoch that a record enters.
        epochs: passes over the data.
        steps: steps that the trainer ran, all epochs together.
        unit: what the loader draws, in the words of the ledger's unit.
    """

    kind: str
    q: float | None = None
    batch: int | None = None
    n: int | None = None
    selected: int | None = None
    epochs: int | None = None
    steps: int | None = None
    unit: str | None = None

    def __post_init__(self) -> None:
        """Check the fields and store them as plain Python values."""
        if not isinstance(self.kind, str) or self.kind not in KINDS:
            raise ValueError(
                f"sampler {check.given('kind', self.kind)} is unknown; pass one of {', '.join(map(repr, KINDS))}"
            )
        object.__setattr__(self, "kind", str.__str__(self.kind))
        if self.q is not None:
            object.__setattr__(self, "q", check.as_float(q=self.q, at_least=0.0, at_most=1.0))
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, check.as_int(**{name: value}, at_least=least, at_most=MAX_COUNT))
        if self.unit is not None:
            object.__setattr__(self, "unit", as_text(unit=self.unit))

    def to_dict(self) -> dict[str, object]:
        """The stated fields as JSON-able data."""
        return {item.name: value for item in fields(self) if (value := getattr(self, item.name)) is not None}

    @classmethod
    def from_dict(cls, data: object) -> "Sampler":
        """Read what `to_dict` wrote.

        Raises:
            TypeError: `data` is no mapping, or a field has the wrong type.
            ValueError: a field is unknown, missing or out of range.
        """
        if not isinstance(data, Mapping):
            given = check.given("sampler", data)
            raise TypeError(f"{given} must be a Sampler or a mapping such as {{'kind': 'poisson', 'q': 0.01}}")
        names = [item.name for item in fields(cls)]
        unknown = [shown(str(name), 40) for name in data if name not in names]
        if unknown or "kind" not in data:
            more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
            raise ValueError(
                f"a sampler needs 'kind', and may state {', '.join(names[1:])}; unknown: {unknown[:_NAMED]}{more}"
            )
        return cls(**data)
