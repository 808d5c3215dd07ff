"""Made-up data of every kind that privkd reads, for tests and first steps: seeded, quick, and nobody's.

The same arguments give the same arrays. Two seeds share nothing, and where a data set is a list of rows of one kind, asking for
more rows leaves the first ones as they are.
"""

from typing import TYPE_CHECKING

from accountants import lazy_door

if TYPE_CHECKING:
    from privkd.data.procedural.faces import syn_faces as syn_faces

__getattr__, __dir__, __all__ = lazy_door(
    __name__,
    {
        "privkd.data.procedural.faces": "syn_faces",
    },
)
