"""The one place where the version is written, and the versions that a result names."""

__version__ = "0.1.0"


def versions() -> dict[str, str]:
    """The versions of the libraries that a number was computed with."""
    import numpy
    import scipy

    return {"privkd": __version__, "numpy": numpy.__version__, "scipy": scipy.__version__}
