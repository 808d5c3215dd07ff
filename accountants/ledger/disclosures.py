"""Disclosures: what a ledger says beside its events and claims. Each is a text, whose beginning says of what kind it is.

These beginnings are written and read here alone. Anybody may disclose any text, so that its kind proves nothing: a seal counts
where it is the fingerprint of the certificate at hand, and a digest where it is that of the files at hand.
"""

import re
from dataclasses import dataclass
from enum import Enum

from accountants.ledger.ledger import Ledger

SEEDED = "noise was seeded: void outside tests"
"""What a ledger discloses whose noise somebody can draw again."""

_LEAK = re.compile(r"\s*leak\s*:", re.IGNORECASE)
_RELEASE = "release sha256:"
_STATED = re.compile(r"stated after (\d{1,15}) charges: (basis|classes|condition|leak) (.*)\Z", re.DOTALL)


class Kind(Enum):
    """What a disclosure is. The value is the word with which it is written; the last four are parts of a statement."""

    FREE = ""  # anything else that a reader must know
    LEAK = "leak: "  # a private quantity left the accounting, which no guarantee survives
    NOTE = "note: "  # for readers of a certificate; takes nothing from it, such as a noisy count
    SEAL = "certificate sha256:"  # the fingerprint of a certificate
    RELEASE = "release sha256: "  # the digest of the files of a release
    BASIS = "basis"  # why one record has bounded influence
    CLASSES = "classes"  # the number of classes
    CONDITION = "condition"  # what must be true outside the library
    NAMED_LEAK = "leak"  # a leak that the certificate names


@dataclass(frozen=True, slots=True)
class Disclosure:
    """One thing that a ledger discloses.

    Attributes:
        kind: what it is.
        text: what it says, without the words that tell its kind.
        charges: how many charges the ledger had when it was stated; None outside a statement.

    Raises:
        ValueError: it would be read as something else.
    """

    kind: Kind
    text: str
    charges: int | None = None

    def __post_init__(self) -> None:
        if _parts(self.written) != (self.kind, self.text, self.charges):
            raise ValueError(f"{self.written[:80]!r} would not be read as a disclosure of kind {self.kind.name}")

    @property
    def written(self) -> str:
        """The text as it stands in a ledger.

        Example:
            >>> Disclosure(Kind.CONDITION, "queries are public", charges=3).written
            'stated after 3 charges: condition queries are public'
        """
        if self.charges is None:
            return f"{self.kind.value}{self.text}"
        return f"stated after {self.charges} charges: {self.kind.value} {self.text}"


def read(written: str) -> Disclosure:
    """What a text in a ledger discloses. Leaks count however they are written.

    Example:
        >>> read(" LEAK : losses were logged").written
        'leak: losses were logged'
    """
    return Disclosure(*_parts(written))


def disclosures(ledger: Ledger, *kinds: Kind) -> tuple[Disclosure, ...]:
    """The disclosures of some kinds, in order."""
    found = map(read, ledger.disclosed)
    return tuple(disclosure for disclosure in found if disclosure.kind in kinds)


def disclose_once(ledger: Ledger, disclosure: Disclosure) -> None:
    """Write a disclosure into a ledger, unless it stands there already."""
    if disclosure not in disclosures(ledger, disclosure.kind):
        ledger.disclose(disclosure.written)


def disclosed_leaks(ledger: Ledger) -> tuple[str, ...]:
    """The disclosures that begin with "leak:", in any case, word by word as they stand in the ledger."""
    return tuple(text for text in ledger.disclosed if read(text).kind is Kind.LEAK)


def is_seeded(ledger: Ledger) -> bool:
    """Whether a ledger discloses seeded noise, in whatever words; a condition that mentions the word is none."""
    return any("seeded" in text and read(text).charges is None for text in ledger.disclosed)


def disclose_seeded(ledger: Ledger) -> None:
    """Disclose seeded noise, once."""
    if not is_seeded(ledger):
        ledger.disclose(SEEDED)


def _parts(written: str) -> tuple[Kind, str, int | None]:
    """Kind, text and number of charges of what stands in a ledger."""
    stated = _STATED.match(written)
    if stated is not None:
        return Kind(stated[2]), stated[3], int(stated[1])
    leak = _LEAK.match(written)
    if leak is not None:
        return Kind.LEAK, written[leak.end() :].strip(), None
    if written.startswith(_RELEASE):
        return Kind.RELEASE, written.removeprefix(_RELEASE).strip(), None
    for kind in (Kind.NOTE, Kind.SEAL):
        if written.startswith(kind.value):
            return kind, written.removeprefix(kind.value), None
    return Kind.FREE, written, None
