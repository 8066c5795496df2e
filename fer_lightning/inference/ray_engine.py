"""`predict --engine ray`: Ray Data takes the parts of the input to the processors and GPUs of a cluster."""

import contextlib
import logging
import pickle
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fer_lightning.errors import FERError
from fer_lightning.inference.cluster_work import Part, Work, Worker, worker
from fer_lightning.inference.frames import Frame
from fer_lightning.inference.ray_cluster import last_line
from fer_lightning.inference.terminal import Counts
from fer_lightning.names import many
from fer_lightning.screen import say

_RETRIES = 5
"""How often a part is begun again whose process or machine was lost; more than that, and its files are suspected."""

_TRIES = 3
"""How often what is left is begun again after the cluster has given up, as where GPUs are gone for good."""

_ANSWER = 120.0
"""Seconds in which every machine has to say whether it sees what it needs."""


def check_machines(ray: Any, work: Work) -> None:
    """Make sure that all machines see what they need, before any work.

    Raises:
        FERError: Of one that does not.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    packed, asked = pickle.dumps(work), ray.remote(num_cpus=0, max_retries=0)(_checked)
    for node in ray.nodes():
        if not node["Alive"] or not node["Resources"].get("CPU"):
            continue
        here = f"The machine {node['NodeManagerAddress']}"
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        with _explained(f"{here} cannot be used, or lacks what this one has (fer_lightning {work.version})"):
            ray.get(asked.options(scheduling_strategy=there).remote(packed, here), timeout=_ANSWER)


def _checked(work: bytes, here: str) -> None:
    pickle.loads(work).check(here)  # noqa: S301 (what this program has sent)


class LostError(FERError):
    """Processes or machines were lost, more than is made good in passing."""


def all_named(
    ray: Any, work: Work, parts: Sequence[Part], workers: int | None, device: str
) -> Iterator[tuple[Part, Counts]]:
    """Have all parts made, in any order, each once; see `named`."""
    left = {part.number: part for part in parts}
    for last in (False,) * (_TRIES - 1) + (True,):
        before = len(left)
        try:
            for part, counts in named(ray, work, list(left.values()), workers, device, _gpus(ray, device)):
                del left[part.number]
                yield part, counts
            return
        except LostError as error:
            if last or len(left) == before:
                raise FERError(
                    f"{error} The parts so far are kept: the same command, without --overwrite, goes on. If it happens "
                    "again, the machines are out of memory, or a file makes its decoder crash: try without --engine, "
                    "and --workers 0."
                ) from None
            say(f"Note   {error} The {many(len(left), 'part')} that are left are begun again.", sys.stderr)


def _gpus(ray: Any, device: str) -> int:
    return 0 if device == "cpu" else int(ray.cluster_resources().get("GPU", 0))


def named(
    ray: Any, work: Work, parts: Sequence[Part], workers: int | None, device: str, gpus: int = 0
) -> Iterator[tuple[Part, Counts]]:
    """Have parts made, in any order; whose process or machine is lost is made again.

    On processors, a task looks at a part and names what is in it, and keeps its network for the next one: there is
    nothing to wait for where a machine is gone for good. With GPUs, tasks look, and a process on each GPU names.

    Args:
        ray: From `cluster`.
        work: What the processes need to know.
        parts: What is to be made.
        workers: Processes that look at images, at most; None for one a core.
        device: Where the networks run.
        gpus: How many of them; 0 for none.

    Raises:
        FERError: If a part cannot be made; a LostError if the cluster gave up.
    """
    _be_quiet(ray)
    packed = pickle.dumps(work)
    rows = [{"part": pickle.dumps(part)} for part in parts]
    one = {"batch_size": 1, "batch_format": "numpy", "num_cpus": 1}
    tasks = one | {"concurrency": workers, "max_retries": _RETRIES}
    waiting = ray.data.from_items(rows, override_num_blocks=len(rows))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # from 2.64 on, it cannot be said how often to try; until then it may be
        if gpus:
            looked = waiting.map_batches(_looked, fn_args=[packed], **tasks)
            actors = one | {"num_cpus": 0, "num_gpus": 1, "concurrency": (1, gpus), "max_task_retries": _RETRIES}
            made = looked.map_batches(_Named, fn_constructor_args=[packed, device], **actors)
        else:
            made = waiting.map_batches(_made, fn_args=[packed, device], **tasks)
    numbered = {part.number: part for part in parts}
    with _explained("The cluster has lost what it was at"):
        for row in made.iter_rows():
            result = pickle.loads(row["made"])  # noqa: S301 (what our processes have sent)
            if isinstance(result, FERError):
                raise result
            yield numbered[row["number"]], result


_Batch = Mapping[str, Any]


def _unpacked(batch: _Batch) -> Part:
    part: Part = pickle.loads(batch["part"][0])  # noqa: S301 (what this program has sent)
    return part


def _told(part: Part, make: Callable[[], Counts]) -> dict[str, list[Any]]:
    """What a part came to, or why it cannot be made: Ray would hand on no exception, but its traceback as a text."""
    try:
        made: Counts | FERError = make()
    except (FERError, OSError) as error:
        made = FERError(str(error))
    return {"number": [part.number], "made": [pickle.dumps(made)]}


def _made(batch: _Batch, work: bytes, device: str) -> dict[str, list[Any]]:
    part, ours = _unpacked(batch), worker(work, device)
    return _told(part, lambda: ours.name(part, ours.look(part)))


def _looked(batch: _Batch, work: bytes) -> dict[str, list[Any]]:
    """Films are looked at where they are named: their frames are too many to be sent."""
    part = _unpacked(batch)
    frames: list[Frame] | FERError | None = None
    if part.sources[0].kind == "image":
        try:
            frames = list(worker(work, "cpu").look(part))
        except (FERError, OSError) as error:
            frames = FERError(str(error))
    return {"part": [batch["part"][0]], "frames": [pickle.dumps(frames)]}


class _Named:
    """On a GPU: the network, opened once, and what looks at films."""

    def __init__(self, work: bytes, device: str) -> None:
        self.worker = Worker(pickle.loads(work), device)  # noqa: S301 (what this program has sent)

    def __call__(self, batch: _Batch) -> dict[str, list[Any]]:
        part = _unpacked(batch)
        frames = pickle.loads(batch["frames"][0])  # noqa: S301 (what our processes have sent)
        return _told(part, lambda: self._name(part, frames))

    def _name(self, part: Part, frames: list[Frame] | FERError | None) -> Counts:
        if isinstance(frames, FERError):
            raise frames
        return self.worker.name(part, self.worker.look(part) if frames is None else frames)


def _be_quiet(ray: Any) -> None:
    """Progress and errors are told by us."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    for name in ("ray.data", "ray"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turn what Ray raises about a process of ours into one message: that of the process, if it has one."""
    from ray.exceptions import RayError

    try:
        yield
    except (RayError, TimeoutError, ImportError) as error:
        cause: BaseException | None = error
        while cause and not isinstance(cause, FERError):
            cause = getattr(cause, "cause", None) or cause.__cause__
        if cause:
            raise FERError(str(cause)) from None
        raise LostError(f"{what}: {last_line(error)}") from error
