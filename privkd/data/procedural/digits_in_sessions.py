"""Digits-20: handwritten digits and the same digits on their side, learned class by class from few examples.

Specification: Digits-20 of this project. Images: scikit-learn's digits, see `privkd.data.digits`.
"""

from dataclasses import dataclass

import torch

from accountants import check
from privkd.data.bundled import all_digits
from privkd.data.procedural.draws import generator_of
from privkd.data.records import Records

CLASSES = 20
_TEST = 540  # source images


@dataclass(frozen=True, eq=False)
class DigitSessions:
    """Data for learning in sessions. Classes are numbered in the order in which they arrive.

    Attributes:
        train: records of each session; the first holds all training images of the base classes, the others few of their new ones.
        test: all classes, shape (1080, 1, 8, 8); none of its source images is in any session, in neither orientation.
        classes: number of classes that are known after each session.
    """

    train: tuple[Records, ...]
    test: Records
    classes: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.train)

    def seen(self, session: int) -> Records:
        """The test records of all classes that are known after a session.

        Args:
            session: 0 to len(self) - 1.

        Raises:
            TypeError: session is no integer.
            ValueError: there is no such session.
        """
        check.integer(session=session, at_least=0, at_most=len(self) - 1)
        labels = self.test.labels
        if labels is None:
            raise ValueError("the test records have no labels")
        return self.test.take(labels < self.classes[session])


def digit_sessions(*, base: int = 12, sessions: int = 4, ways: int = 2, shots: int = 5, seed: int = 0) -> DigitSessions:
    """Twenty classes (0-9 upright, 10-19 turned by 90 degrees) in an order drawn at random, split into sessions.

    Of 1797 source images 540 are for the test, in both orientations.

    Args:
        base: classes of the first session, >= 2.
        sessions: number of later sessions, >= 1.
        ways: new classes of each later session, >= 1; base + sessions * ways must be <= 20.
        shots: images of each new class, 1 to 50.
        seed: integer >= 0.

    Raises:
        TypeError: an argument is no integer.
        ValueError: an argument is out of range, or there are more than 20 classes.

    Example:
        >>> data = digit_sessions()
        >>> [len(part) for part in data.train[1:]], data.classes, len(data.test)
        ([10, 10, 10, 10], (12, 14, 16, 18, 20), 1080)
    """
    check.integer(base=base, at_least=2)
    check.integer(sessions=sessions, ways=ways, at_least=1)
    check.integer(shots=shots, at_least=1, at_most=50)
    total = base + sessions * ways
    if total > CLASSES:
        raise ValueError(
            f"base={base} and sessions={sessions} of ways={ways} need {total} classes; there are {CLASSES}"
        )
    digits = all_digits(image=True)
    generator = generator_of("digit sessions", seed)
    order = torch.randperm(CLASSES, generator=generator)
    number = torch.empty(CLASSES, dtype=torch.int64)
    number[order] = torch.arange(CLASSES)
    inputs = torch.cat([digits.inputs, torch.rot90(digits.inputs, dims=(2, 3))])
    upright = digits.labels if digits.labels is not None else torch.empty(0, dtype=torch.int64)
    labels = number[torch.cat([upright, upright + 10])]
    names = tuple(f"{k % 10}{' turned' if k >= 10 else ''}" for k in order.tolist())
    whole = Records(inputs, labels, "digits-20", names)
    shuffled = torch.randperm(len(digits), generator=generator)
    held, rest = shuffled[:_TEST], shuffled[_TEST:]
    test, rest = torch.cat([held, held + len(digits)]), torch.cat([rest, rest + len(digits)])
    train = [whole.take(rest[labels[rest] < base])]
    for first in range(base, total, ways):
        few = [rest[labels[rest] == k][:shots] for k in range(first, first + ways)]
        train.append(whole.take(torch.cat(few)))
    test = test[labels[test] < total]
    return DigitSessions(tuple(train), whole.take(test), tuple(range(base, total + 1, ways)))
