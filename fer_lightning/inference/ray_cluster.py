"""A cluster of Ray for `predict --engine ray`: found, started or refused, and watched while it works."""

import contextlib
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from typing import Any

from fer_lightning.errors import FERError, MissingPackageError
from fer_lightning.names import many, printable
from fer_lightning.screen import say

_GREETING = 15.0
"""Seconds in which somebody has to take a call at RAY_ADDRESS."""

_PULSE, _GONE = 5.0, 35.0
"""Seconds between calls to the head of the cluster, and after which one that does not answer is gone: Ray ends the
program after 60, so a short disturbance costs nothing, and the message comes first."""


@contextlib.contextmanager
def cluster(workers: int | None) -> Iterator[Any]:
    """The module `ray`, connected: to RAY_ADDRESS, else to a cluster that runs here, else to one that ends with this.

    Args:
        workers: Processes of one that is started here; None for one a core.

    Raises:
        FERError: If Ray is not installed, or there is nobody at RAY_ADDRESS.
    """
    ray = _imported()
    if ray.is_initialized():  # by the program that calls this
        yield ray
        return
    before = signal.getsignal(signal.SIGTERM)
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    given = os.environ.get("RAY_ADDRESS")
    address = given or _running_here()
    why = _no_answer(address)
    if given and why:
        raise FERError(f"No cluster of Ray is at RAY_ADDRESS={printable(given)}: {why}.")
    try:
        if address and not why:
            ray.init(address, **quiet)
        else:
            cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
            ray.init("local", num_cpus=workers or cores, include_dashboard=False, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = f" at {printable(address)}" if address and not why else ""
        raise FERError(f"No cluster of Ray can be used{where}: {last_line(error)}") from None
    ended = threading.Event()
    try:
        signal.signal(signal.SIGTERM, before)  # Ray's would end this program without a word
        if address and not why:
            threading.Thread(target=_watch, args=(address, ended), daemon=True).start()
        yield ray
    finally:
        ended.set()
        ray.shutdown()
        signal.signal(signal.SIGTERM, before)


def _running_here() -> str:
    """Where the cluster is that `ray start` has started on this machine, as Ray notes it; empty if there is none."""
    place = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    with contextlib.suppress(OSError), open(os.path.join(place, "ray", "ray_current_cluster")) as stream:
        return stream.read(1000).strip()
    return ""


def _watch(address: str, ended: threading.Event) -> None:
    """End this program, with a message, once the head of its cluster is gone; Ray would end it too, but without one."""
    heard = time.monotonic()
    while not ended.wait(_PULSE):
        if not _no_answer(address, _PULSE):
            heard = time.monotonic()
        elif time.monotonic() - heard > _GONE:
            say(
                f"error: The head of the cluster at {printable(address)} does not answer any more. The parts so far "
                "are kept: the same command, without --overwrite, goes on once the cluster is there again.",
                sys.stderr,
            )
            os._exit(2)  # Ray itself waits for it, also in what tidies up


def _no_answer(address: str, seconds: float = _GREETING) -> str:
    """Why nobody is at HOST:PORT or ray://HOST:PORT; empty if somebody may be. Ray itself tries for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdecimal():
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=seconds).close()
        except (OSError, OverflowError) as error:
            return printable(str(error))
    return ""


def _imported() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anybody
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else it warns of what it will do one day
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its own, of what it calls itself
            import ray.data
    except ImportError:
        raise MissingPackageError("--engine ray needs Ray: pip install 'ray[data]'.") from None
    return ray


def device_of(ray: Any, given: str) -> str:
    """Where the networks run: `auto` takes the GPUs of the cluster if it has some; an FERError if it has none."""
    gpus = ray.cluster_resources().get("GPU", 0)
    if given not in ("auto", "cpu") and not gpus:
        raise FERError(f"Invalid value for --device. The cluster has no GPU. Received: {given}.")
    return ("cuda" if gpus else "cpu") if given == "auto" else given


def about(ray: Any) -> str:
    """What there is to compute on, as `2 machines, 64 cores, 4 GPUs`."""
    resources = ray.cluster_resources()
    machines = many(sum(node["Alive"] for node in ray.nodes()), "machine")
    gpus = int(resources.get("GPU", 0))
    return f"{machines}, {many(int(resources.get('CPU', 0)), 'core')}" + (f", {many(gpus, 'GPU')}" if gpus else "")


def last_line(error: BaseException) -> str:
    """The last line of what is said, where the reason is."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{printable(lines[-1] if lines else type(error).__name__)[:160].rstrip('.')}."
