"""Settings of the process that code may leave changed: numpy, scikit-learn, scipy, pandas, torch, BLAS and Python itself.

A teacher that fails half-way leaves what it set, for example `np.seterr(all="raise")`, to every teacher after it. Whether it
fails may depend on one record, which would then change many votes. So settings are read before its code and put back after.
"""

from __future__ import annotations

import contextlib
import copy
import decimal
import functools
import locale
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

_SIGNALS = [
    getattr(signal, f"SIG{name}")
    for name in ["INT", "TERM", "HUP", "ALRM", "CHLD", "PIPE", "USR1", "USR2", "FPE", "QUIT"]
    if hasattr(signal, f"SIG{name}")
]
_SMALLEST = [sys.float_info.min]  # in a list, so that half of it is not computed when this file is compiled


@contextlib.contextmanager
def restored() -> Iterator[None]:
    """Put the settings of the process back to what they were before the block, however the block ends.

    Example:
        >>> with restored():
        ...     _ = np.seterr(over="raise")
        >>> np.geterr()["over"]
        'warn'
    """
    before = [(read, write, value) for read, write in _SETTINGS for value in _read(read)]
    with warnings.catch_warnings():
        try:
            yield
        finally:
            warnings.simplefilter("ignore")  # an option that is outdated warns when it is set
            for read, write, value in before:
                with contextlib.suppress(Exception):  # the others are put back all the same
                    if _differs(read, value):
                        write(value)


def _read(read: Callable[[], Any]) -> list[Any]:
    """The value in a list, which is empty where it cannot be read, as a working directory that was removed."""
    try:
        return [read()]
    except Exception:  # noqa: BLE001  what cannot be read cannot be put back
        return []


def _differs(read: Callable[[], Any], value: Any) -> bool:
    try:
        return bool(read() != value)
    except Exception:  # noqa: BLE001  a value that cannot be compared, as an array, is another one
        return True


def _attribute(owner: Any, name: str) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    return functools.partial(getattr, owner, name), functools.partial(setattr, owner, name)


def _sklearn_config() -> dict[str, Any]:
    import sklearn

    return sklearn.get_config()


def _set_sklearn_config(values: dict[str, Any]) -> None:
    import sklearn

    sklearn.set_config(**values)


def _scipy_errors() -> dict[str, str]:
    from scipy import special

    return special.geterr()


def _set_scipy_errors(values: dict[str, str]) -> None:
    from scipy import special

    special.seterr(**values)


def _pandas_options() -> dict[str, Any] | None:
    """All options, None while pandas is not imported: nothing here imports it."""
    pandas = sys.modules.get("pandas")
    return None if pandas is None else copy.deepcopy(pandas.options.d)


def _set_pandas_options(values: dict[str, Any] | None) -> None:
    pandas = sys.modules["pandas"]
    if values is None:  # it was imported in the block
        pandas.reset_option("all")
        return
    _set_changed_options(pandas, values, pandas.options.d, "")


def _set_changed_options(pandas: Any, values: dict[str, Any], now: dict[str, Any], prefix: str) -> None:
    for name, value in values.items():
        if isinstance(value, dict) and isinstance(now.get(name), dict):
            _set_changed_options(pandas, value, now[name], f"{prefix}{name}.")
        elif now.get(name) != value:
            pandas.set_option(prefix + name, value)


@functools.cache
def _thread_pools() -> list[Any]:
    """BLAS and OpenMP libraries of numpy, scipy, scikit-learn and torch; looking for them takes milliseconds."""
    import threadpoolctl

    for load in (_sklearn_config, _scipy_errors):  # their libraries come with them
        load()
    return threadpoolctl.ThreadpoolController().lib_controllers


def _pool_sizes() -> list[int]:
    return [pool.num_threads for pool in _thread_pools()]


def _set_pool_sizes(sizes: list[int]) -> None:
    for pool, size in zip(_thread_pools(), sizes, strict=True):
        pool.set_num_threads(size)


def _set_default_device(device: torch.device) -> None:
    torch.set_default_device(None)
    if torch.get_default_device() != device:  # None is faster than "cpu", where that is the same
        torch.set_default_device(device)


def _flushes_denormals() -> bool:
    return _SMALLEST[0] / 2 == 0.0


def _set_flushes_denormals(flush: bool) -> None:
    torch.set_flush_denormal(flush)


def _autocast(device: str) -> tuple[bool, torch.dtype]:
    return torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)


def _set_autocast(device: str, values: tuple[bool, torch.dtype]) -> None:
    torch.set_autocast_enabled(device, values[0])
    torch.set_autocast_dtype(device, values[1])


def _decimal_context() -> dict[str, Any]:
    context = decimal.getcontext()
    names = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp")
    signals = {name: [kind for kind, is_set in getattr(context, name).items() if is_set] for name in ("flags", "traps")}
    return {name: getattr(context, name) for name in names} | signals


def _environment() -> dict[str, str]:
    return dict(os.environ)


def _set_environment(values: dict[str, str]) -> None:
    for name in [name for name in os.environ if name not in values]:
        del os.environ[name]
    os.environ.update({name: value for name, value in values.items() if os.environ.get(name) != value})


def _import_path() -> tuple[list[str], list[str]]:
    return sys.path, list(sys.path)


def _set_import_path(values: tuple[list[str], list[str]]) -> None:
    sys.path, entries = values
    sys.path[:] = entries


def _loggers() -> list[tuple[logging.Logger, int, bool, bool, list[logging.Handler]]]:
    """The root logger and those of privkd, with what decides where their lines go."""
    names = [name for name in list(logging.root.manager.loggerDict) if name.partition(".")[0] == "privkd"]
    loggers = [logging.root, *map(logging.getLogger, names)]
    return [(log, log.level, log.disabled, log.propagate, list(log.handlers)) for log in loggers]


def _set_loggers(values: list[tuple[logging.Logger, int, bool, bool, list[logging.Handler]]]) -> None:
    for log, level, disabled, propagate, handlers in values:
        log.setLevel(level)
        log.disabled, log.propagate = disabled, propagate
        log.handlers[:] = handlers


def _signal_handlers() -> dict[int, Any]:
    return {number: signal.getsignal(number) for number in _SIGNALS}


def _set_signal_handlers(values: dict[int, Any]) -> None:
    for number, handler in values.items():  # in the main thread only; elsewhere Python changes none
        if handler is not None and signal.getsignal(number) is not handler:
            signal.signal(number, handler)


_SETTINGS: list[tuple[Callable[[], Any], Callable[[Any], Any]]] = [
    (np.geterr, lambda values: np.seterr(**values)),
    (np.geterrcall, np.seterrcall),
    (np.getbufsize, np.setbufsize),
    (np.get_printoptions, lambda values: np.set_printoptions(**values)),
    (_sklearn_config, _set_sklearn_config),
    (_scipy_errors, _set_scipy_errors),
    (_pandas_options, _set_pandas_options),
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_default_device, _set_default_device),
    (torch.get_num_threads, torch.set_num_threads),
    (_pool_sizes, _set_pool_sizes),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
    _attribute(torch.utils.deterministic, "fill_uninitialized_memory"),
    (
        lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        lambda values: torch.autograd.set_detect_anomaly(*values),
    ),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    *[_attribute(torch.backends.cudnn, name) for name in ("enabled", "benchmark", "deterministic")],
    *[_attribute(torch.backends.mkldnn, name) for name in ("enabled", "deterministic")],
    *[(functools.partial(_autocast, device), functools.partial(_set_autocast, device)) for device in ("cpu", "cuda")],
    (torch.is_autocast_cache_enabled, torch.set_autocast_cache_enabled),
    (_flushes_denormals, _set_flushes_denormals),
    (_decimal_context, lambda values: decimal.setcontext(decimal.Context(**values))),
    (sys.getrecursionlimit, sys.setrecursionlimit),
    (os.getcwd, os.chdir),
    (_environment, _set_environment),
    (functools.partial(locale.setlocale, locale.LC_ALL), functools.partial(locale.setlocale, locale.LC_ALL)),
    (_import_path, _set_import_path),
    (_loggers, _set_loggers),
    (lambda: logging.root.manager.disable, logging.disable),
    (_signal_handlers, _set_signal_handlers),
]
"""What is read before a block, and how it is put back."""
