"""An engine in a process of its own, so that its crash or its hang costs one pair and not the run."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.errors import InputError

ONE_THREAD = {"ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1", "OMP_NUM_THREADS": "1"}
START_SECONDS = 1800  # itk takes 10 s of CPU time to load elastix, and the machine may be busy; a crash is seen at once


class Failed(RuntimeError):
    """The engine could not register this pair; the message says why."""


class Registered(NamedTuple):
    """The field (D, *spatial) of one pair, and the CPU time of ``register`` alone.

    On one thread that is what a free core takes, however busy the machine is.
    """

    ddf: NDArray[np.float32]
    seconds: float


class Worker:
    """Feed pairs to an engine, one by one; a new process is started when one has died or hung.

    Args:
        engine: the engine's module, by its full name.
        settings: of the engine's ``Settings``.
        timeout: seconds that a pair may take.
    """

    def __init__(self, engine: str, settings: Any, timeout: float) -> None:
        self.engine, self.settings, self.timeout = engine, settings, timeout
        self._process: Any = None
        self._connection: Connection | None = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def register(self, moving: NDArray[np.float32], fixed: NDArray[np.float32]) -> Registered:
        """Register one pair, both (*spatial).

        Raises:
            Failed: the engine raised, crashed, took too long, or gave no finite field.
            InputError: the engine cannot be started.
        """
        if self._process is None or not self._process.is_alive():
            self._stop()
            self._start()
        answer = self._ask((moving, fixed))
        if isinstance(answer, str):
            raise Failed(answer)
        ddf = answer.ddf
        if ddf.shape != (fixed.ndim, *fixed.shape) or not np.isfinite(ddf).all():
            raise Failed(f"its field {list(ddf.shape)} is not finite or does not fit the image {list(fixed.shape)}")
        return answer

    def _ask(self, pair: tuple[NDArray, NDArray]) -> Any:
        try:
            self._connection.send(pair)
            if self._connection.poll(self.timeout):
                return self._connection.recv()
        except (EOFError, OSError):
            raise Failed(f"it crashed ({self._stop()})") from None
        self._stop()
        raise Failed(f"it ran past {self.timeout:g} s")

    def _start(self) -> None:
        context = get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, self.engine, self.settings), daemon=True)
        self._process.start()
        theirs.close()  # so that its end is seen here
        try:
            problem = self._connection.recv() if self._connection.poll(START_SECONDS) else "it does not answer"
        except (EOFError, OSError):
            problem = f"{self.engine}: crashed as it started ({self._stop()}); see the lines above"
        if problem:
            self._stop()
            raise InputError(problem)

    def _stop(self) -> str:
        """End the process; return how it had ended by itself."""
        if self._process is None:
            return ""
        self._connection.close()
        self._process.join(1)
        how = self._process.exitcode
        self._process.kill()
        self._process.join()
        self._process.close()
        self._process = self._connection = None
        return signal.Signals(-how).name if how and how < 0 else f"exit status {how}"


def serve(connection: Connection, engine: str, settings: Any) -> None:
    """Answer each (moving, fixed) with `Registered`, or with what went wrong, until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other end hears Ctrl-C and closes
    os.environ.update(ONE_THREAD)
    os.dup2(2, 1)  # what engines print is no result
    module = import_module(engine)
    try:
        module.load()
    except ImportError as error:
        name = engine.rpartition(".")[2]
        way = f"{module.PACKAGE} cannot be imported ({error}); install it as requirements-baselines.txt says"
        connection.send(f"{name}: {way}")
        return
    connection.send(None)
    with suppress(EOFError, OSError):
        while True:
            connection.send(_register(module, *connection.recv(), settings))


def _register(module: Any, moving: NDArray, fixed: NDArray, settings: Any) -> Registered | str:
    start = time.process_time()
    try:
        ddf = module.register(moving, fixed, settings)
    except Exception as error:  # whatever it is, it is this pair's
        return f"{type(error).__name__}: {' '.join(str(error).split())[-300:]}"
    return Registered(np.asarray(ddf, np.float32), time.process_time() - start)
