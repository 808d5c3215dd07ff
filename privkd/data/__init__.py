"""What users have, turned into one simple thing: `Records`.

Knows files, arrays and shapes; knows nothing of privacy, training or models. Importing it loads no torch.

Source files are named for things, so that no module hides the function of the same name.
"""

from typing import TYPE_CHECKING

from accountants import lazy_door

if TYPE_CHECKING:
    from privkd.data.bundled import Split as Split
    from privkd.data.bundled import digits as digits
    from privkd.data.columns import Columns as Columns
    from privkd.data.loading import load as load
    from privkd.data.records import Records as Records

__getattr__, __dir__, __all__ = lazy_door(
    __name__,
    {
        "privkd.data.bundled": "Split digits",
        "privkd.data.columns": "Columns",
        "privkd.data.loading": "load",
        "privkd.data.records": "Records",
    },
)
