"""What a recipe says of itself: whose method it is, what of it is reconstructed, and what its proof has shown."""

from __future__ import annotations

from dataclasses import dataclass

from privkd.recipes.naming import check_line


@dataclass(frozen=True, kw_only=True)
class Card:
    """The card of a system, as `privkd recipes NAME` prints it. Every entry is a sentence or a short phrase.

    Attributes:
        title: what the system does, in one line; also the line of lists.
        paper: authors, title, identifier; empty for what is ours.
        from_paper: what is taken from the paper or from the authors' code.
        reconstructed: what no source tells and was completed here; never sold as the paper's.
        ours: what was added or changed.
        proof: what the proof test shows, with the measured figures.
        processes: whether a run may be shared by several processes.
        private_statistics: what the recipe reads off its data other than by gradients, for example the means of inputs. A
            private run needs a recipe that reads nothing.

    Raises:
        TypeError, ValueError: an entry is no text, or is empty or no single line where one is needed.

    Example:
        >>> card = Card(title="a nearest-mean classifier", ours=("all of it",), proof="not measured")
        >>> card.processes, [name for name, _ in card.rows()]
        (False, ['title', 'ours', 'proof'])
    """

    title: str
    paper: str = ""
    from_paper: tuple[str, ...] = ()
    reconstructed: tuple[str, ...] = ()
    ours: tuple[str, ...] = ()
    proof: str = ""
    processes: bool = False
    private_statistics: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_line(title=self.title)
        for name in ("from_paper", "reconstructed", "ours", "private_statistics"):
            entries = getattr(self, name)
            if not isinstance(entries, tuple) or not all(isinstance(entry, str) and entry.strip() for entry in entries):
                raise TypeError(f"{name}={entries!r} of a card must be a tuple of texts, for example ('the loss',)")
        if (self.from_paper or self.reconstructed) and not self.paper:
            raise ValueError(f"the card {self.title!r} takes from a paper or reconstructs one; name it: paper='...'")

    def rows(self) -> list[tuple[str, str]]:
        """Names of entries and their texts, in order; one row per text, empty ones left out."""
        shown: list[tuple[str, str]] = []
        for name, entry in vars(self).items():
            texts = entry if isinstance(entry, tuple) else () if isinstance(entry, bool) else (entry,)
            shown += [(name.replace("_", " "), text) for text in texts if text]
        return shown
