"""The row that a way of transcription is: what it needs, what it can guarantee, and the function that does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from privkd.certificates.scopes import Scope
from privkd.errors import GuaranteeError
from privkd.teachers.teacher import Teacher, TeacherKind
from privkd.transcription.request import Request
from privkd.transcription.result import Transcription


@dataclass(frozen=True, kw_only=True)
class Method:
    """A way of transcription; `privkd.transcription.choice.METHODS` lists all.

    A method whose scope depends on its teacher, or that has more to say where it refuses one, overrides `scope_for`.

    Attributes:
        name: as `method=` gives it, and the transcription tells it.
        run: makes the transcription from a checked request.
        teacher: the kind of teacher that it asks; None where it asks none.
        queries: whether it needs public queries.
        records: whether it uses the private records.
        scopes: what its guarantee can be about, the default first; none where its teacher's certificate decides.
        rank: `method="auto"` takes the possible method of the lowest rank; None: never.
        is_charged: whether every answer is charged; False where the teacher's training has paid for all of them.
        has_paper_mode: whether `mode="paper"` makes the published method with its weaker argument.
    """

    name: str
    run: Callable[[Request], Transcription]
    teacher: TeacherKind | None
    queries: bool = False
    records: bool = False
    scopes: tuple[Scope, ...] = (Scope.TRAINING_RECORD,)
    rank: int | None = None
    is_charged: bool = True
    has_paper_mode: bool = False

    @property
    def needs(self) -> str:
        """What has to be given, in words."""
        needed = {
            str(self.teacher): self.teacher is not None,
            "records=(inputs, labels)": self.records,
            "public queries": self.queries,
        }
        return " and ".join(text for text, is_needed in needed.items() if is_needed)

    def is_possible(self, teacher: Teacher, *, queries: bool, records: bool) -> bool:
        """Whether all that it needs was given: the teacher, public queries, private records."""
        return self.teacher in (None, teacher.kind) and queries >= self.queries and records >= self.records

    def scope_for(self, teacher: Teacher, wanted: Scope | None, *, epsilon: float, classes: int) -> Scope:
        """What the guarantee will be about: what was asked for, or the default; epsilon and K are for messages.

        Raises:
            GuaranteeError: the scope that was asked for cannot be reached.
        """
        if wanted is None or wanted in self.scopes:
            return wanted or self.scopes[0]
        raise GuaranteeError(
            f"method {self.name!r} gives scope {self.scopes[0].value!r}, not {wanted.value!r}; leave scope=None"
        )
