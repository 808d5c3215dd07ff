"""Single-object tracking: what a tracker is, its run over sequences, the scores of a benchmark, and trackers."""

from typing import TYPE_CHECKING

from accountants import lazy_door

if TYPE_CHECKING:
    from privkd.tracking.correlation_filter import CorrelationFilter as CorrelationFilter
    from privkd.tracking.correlation_filter import CorrelationFilterConfig as CorrelationFilterConfig
    from privkd.tracking.one_pass import track as track
    from privkd.tracking.one_pass import track_all as track_all
    from privkd.tracking.ridge import RidgeFilter as RidgeFilter
    from privkd.tracking.scoring import BenchmarkScores as BenchmarkScores
    from privkd.tracking.scoring import benchmark as benchmark
    from privkd.tracking.tracker import StaticBox as StaticBox
    from privkd.tracking.tracker import Tracker as Tracker
    from privkd.tracking.tracker import TrackerError as TrackerError
    from privkd.tracking.tracker import TrackResult as TrackResult

__getattr__, __dir__, __all__ = lazy_door(
    __name__,
    {
        "privkd.tracking.correlation_filter": "CorrelationFilter CorrelationFilterConfig",
        "privkd.tracking.one_pass": "track track_all",
        "privkd.tracking.ridge": "RidgeFilter",
        "privkd.tracking.scoring": "BenchmarkScores benchmark",
        "privkd.tracking.tracker": "StaticBox TrackResult Tracker TrackerError",
    },
)
