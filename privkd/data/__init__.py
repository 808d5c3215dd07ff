"""What users have, turned into checked rows: `Records`, and the other kinds of data that systems learn from.

Knows files, arrays and shapes; knows nothing of privacy, training or models. Importing it loads no torch.

Source files are named for things, so that no module hides the function of the same name.
"""

from typing import TYPE_CHECKING

from accountants import lazy_door

if TYPE_CHECKING:
    from privkd.data.bundled import Split as Split
    from privkd.data.bundled import digits as digits
    from privkd.data.columns import Columns as Columns
    from privkd.data.kinds.clip_views import FaceCrop as FaceCrop
    from privkd.data.kinds.clip_views import RandomStart as RandomStart
    from privkd.data.kinds.clip_views import UniformFrames as UniformFrames
    from privkd.data.kinds.clips import Clips as Clips
    from privkd.data.kinds.crowd import Crowd as Crowd
    from privkd.data.kinds.frames import ArrayFrames as ArrayFrames
    from privkd.data.kinds.frames import Frames as Frames
    from privkd.data.kinds.frames import ImageFrames as ImageFrames
    from privkd.data.kinds.pairs import PairedViews as PairedViews
    from privkd.data.kinds.sequence import Sequence as Sequence
    from privkd.data.kinds.sequence import SequenceError as SequenceError
    from privkd.data.kinds.sequence_results import SequenceResult as SequenceResult
    from privkd.data.kinds.sequences import Sequences as Sequences
    from privkd.data.kinds.skeletons import Skeletons as Skeletons
    from privkd.data.kinds.sources import read as read
    from privkd.data.kinds.texts import Texts as Texts
    from privkd.data.loading import load as load
    from privkd.data.records import Records as Records

__getattr__, __dir__, __all__ = lazy_door(
    __name__,
    {
        "privkd.data.bundled": "Split digits",
        "privkd.data.columns": "Columns",
        "privkd.data.kinds.clip_views": "FaceCrop RandomStart UniformFrames",
        "privkd.data.kinds.clips": "Clips",
        "privkd.data.kinds.crowd": "Crowd",
        "privkd.data.kinds.frames": "ArrayFrames Frames ImageFrames",
        "privkd.data.kinds.pairs": "PairedViews",
        "privkd.data.kinds.sequence": "Sequence SequenceError",
        "privkd.data.kinds.sequence_results": "SequenceResult",
        "privkd.data.kinds.sequences": "Sequences",
        "privkd.data.kinds.skeletons": "Skeletons",
        "privkd.data.kinds.sources": "read",
        "privkd.data.kinds.texts": "Texts",
        "privkd.data.loading": "load",
        "privkd.data.records": "Records",
    },
)
