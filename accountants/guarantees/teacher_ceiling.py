"""The ceiling of the `teacher` scope: the agreement that no student of one teacher exceeds."""

import math

from accountants import check


def teacher_ceiling(epsilon: float, delta: float, classes: int) -> float:
    """Largest mean agreement that a student of scope `teacher` can have with its teacher.

    Holds on average over the `classes` cyclic relabelings of any teacher; not a bound for students that also
    see labelled public data.

    Args:
        epsilon: guarantee of the student, nats, >= 0, scope `teacher`.
        delta: failure mass, in [0, 1).
        classes: number of classes, >= 2.

    Returns:
        Agreement in [1/classes, 1].

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> round(teacher_ceiling(1.0, 1e-5, 10), 4)
        0.232
    """
    epsilon = check.as_float(epsilon=epsilon, at_least=0.0)
    delta = check.as_float(delta=delta, at_least=0.0, below=1.0)
    classes = check.as_int(classes=classes, at_least=2)
    odds = math.exp(-epsilon)
    return min(1.0, (1 + (classes - 1) * delta * odds) / (1 + (classes - 1) * odds))
