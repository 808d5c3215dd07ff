"""Reports: what was released, what it guarantees, and what it does not, as one HTML page beside its JSON.

The page gives the conclusion first. Knows releases and certificates; knows nothing of how they were made. Importing it loads
neither torch nor matplotlib.
"""

from typing import TYPE_CHECKING

_LAZY = {
    "Attack": "privkd.report.study",
    "Release": "privkd.report.study",
    "Result": "privkd.report.study",
    "Samples": "privkd.report.study",
    "Study": "privkd.report.study",
    "Verdict": "privkd.report.verdict",
    "accuracy_curve": "privkd.report.figures",
    "attack_curve": "privkd.report.costs",
    "budget_curve": "privkd.report.costs",
    "plot_history": "privkd.report.histories",
    "profile_curve": "privkd.report.costs",
    "release_of": "privkd.report.evidence",
    "report_of": "privkd.report.folders",
    "samples_of": "privkd.report.samples",
    "verdict_of": "privkd.report.verdict",
    "write_report": "privkd.report.writing",
}
__all__ = [
    "Attack",
    "Release",
    "Result",
    "Samples",
    "Study",
    "Verdict",
    "accuracy_curve",
    "attack_curve",
    "budget_curve",
    "plot_history",
    "profile_curve",
    "release_of",
    "report_of",
    "samples_of",
    "verdict_of",
    "write_report",
]

if TYPE_CHECKING:
    from privkd.report.costs import attack_curve as attack_curve
    from privkd.report.costs import budget_curve as budget_curve
    from privkd.report.costs import profile_curve as profile_curve
    from privkd.report.evidence import release_of as release_of
    from privkd.report.figures import accuracy_curve as accuracy_curve
    from privkd.report.folders import report_of as report_of
    from privkd.report.histories import plot_history as plot_history
    from privkd.report.samples import samples_of as samples_of
    from privkd.report.study import Attack as Attack
    from privkd.report.study import Release as Release
    from privkd.report.study import Result as Result
    from privkd.report.study import Samples as Samples
    from privkd.report.study import Study as Study
    from privkd.report.verdict import Verdict as Verdict
    from privkd.report.verdict import verdict_of as verdict_of
    from privkd.report.writing import write_report as write_report


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; public names: {', '.join(__all__)}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_LAZY[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
