"""The relation between two data sets that count as neighbours; part of the meaning of every epsilon."""

from enum import StrEnum

from accountants import check


class Adjacency(StrEnum):
    """The neighbouring relation that a guarantee is stated for.

    Attributes:
        ADD_REMOVE: one record is added or removed.
        REPLACE_ONE: one record is replaced by any other; the number of records is public.
        ZERO_OUT: one record is replaced by a null record that contributes nothing.

    Example:
        >>> Adjacency("replace-one") is Adjacency.REPLACE_ONE
        True
    """

    ADD_REMOVE = "add-remove"
    REPLACE_ONE = "replace-one"
    ZERO_OUT = "zero-out"

    @classmethod
    def _missing_(cls, value: object) -> None:
        allowed = ", ".join(repr(str(member)) for member in cls)
        raise ValueError(f"{check.given('adjacency', value)} is unknown; pass one of {allowed}")
