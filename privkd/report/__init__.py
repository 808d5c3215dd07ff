"""Reports: what was released, what it guarantees, and what it does not, as one HTML page beside its JSON.

The page gives the conclusion first. Knows releases and certificates; knows nothing of how they were made. Importing it loads
neither torch nor matplotlib.
"""

from typing import TYPE_CHECKING

from accountants import lazy_door

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

__getattr__, __dir__, __all__ = lazy_door(
    __name__,
    {
        "privkd.report.costs": "attack_curve budget_curve profile_curve",
        "privkd.report.evidence": "release_of",
        "privkd.report.figures": "accuracy_curve",
        "privkd.report.folders": "report_of",
        "privkd.report.histories": "plot_history",
        "privkd.report.samples": "samples_of",
        "privkd.report.study": "Attack Release Result Samples Study",
        "privkd.report.verdict": "Verdict verdict_of",
        "privkd.report.writing": "write_report",
    },
)
