"""The version of the distribution."""

from accountants.version import __version__ as __version__
