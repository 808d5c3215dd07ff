"""One honest sentence per certificate: who is protected, how well, given what. Printed numbers are rounded up."""

from accountants.check import shown
from accountants.ledger.disclosures import Kind, disclosures
from privkd.certificates.charges import DECLARED
from privkd.certificates.guarantee import Guarantee
from privkd.certificates.scopes import PROTECTED, Scope, percent_up, rounded_up


def sentence(guarantee: Guarantee) -> str:
    """The sentence of a guarantee; control characters are escaped."""
    return shown(_sentence(guarantee))


def _sentence(c: Guarantee) -> str:
    pair = f"({rounded_up(c.epsilon)}, {rounded_up(c.delta)})-DP"
    if c.scope is Scope.NONE:
        why = "; ".join(c.leaks) or "no noise was added"
        return f"NO privacy guarantee of any scope: {why}."
    protected = PROTECTED[c.scope]
    if c.records > 1:
        protected = f"for any {c.records} of those that scope '{c.scope.value}' protects, taken together"
    parts = [f"{pair} {protected}"]
    if not c.scope.is_per_answer:
        parts[0] += f" under {c.adjacency.value}"
    if c.accountant.startswith(DECLARED):
        parts[0] += f", as {c.accountant}"
    if not c.protects_training_data and c.scope is not Scope.TRAINING_LABEL:
        parts[0] = "NOT a training-record guarantee: " + parts[0]
    if c.conditions:
        parts[0] += ", assuming " + ", ".join(c.conditions)
    if c.answers is not None:
        parts.append(f"{c.answers} answers of the teacher were used")
    if c.teacher_epsilon is not None and c.scope is Scope.SYNTHETIC_LABEL:
        parts.append(
            f"in scope 'teacher' they compose to epsilon = {rounded_up(c.teacher_epsilon)} at "
            f"delta = {rounded_up(c.teacher_delta or 0.0)}, and "
            "nothing better is known for a training record"
        )
    if c.ceiling is not None:
        parts.append(
            f"a data-free student can agree with its teacher on at most {percent_up(c.ceiling)} of inputs, averaged over "
            "relabelled teachers"
        )
    if c.ledger is not None:
        parts += dict.fromkeys(note.written for note in disclosures(c.ledger, Kind.NOTE))
    parts.append("known leaks: " + "; ".join(c.leaks) if c.leaks else "no known leaks")
    if not c.secure_rng:
        parts.append("VOID OUTSIDE TESTS: the noise was seeded")
    return "; ".join(parts) + "."
