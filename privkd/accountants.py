"""Door to the accounting library: the same objects as in the top-level package `accountants`."""

import accountants as _accountants

if getattr(_accountants, "__distribution__", None) != "privkd":
    raise ImportError(
        f"found another package named 'accountants' at {_accountants.__file__}; uninstall it, privkd brings its own"
    )

from accountants import *  # noqa: F403
