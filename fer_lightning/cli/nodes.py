"""What the machines of one training tell each other before it begins, where there are several."""

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch import distributed

from fer_lightning.cli.stopping import LOST_PEER
from fer_lightning.errors import FERError

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

PATIENCE = 300.0
"""Seconds in which all machines are to be as far as this one: their settings are read, which takes no time."""

_HEARD = 10.0
"""Seconds in which the machine that keeps what all have told waits for them to hear why it ends."""

_REFUSED = "refused"


class RefusedElsewhereError(FERError):
    """All machines know, or cannot be told any more, that the training is not to begin."""


class Nodes:
    """The machines of a training; the first process of each speaks for it, and all of them hear.

    They speak over the store that gloo and NCCL meet at, before these are there: no wrong network interface hangs them.

    Attributes:
        number: Which of the machines this is, from 0 on.
        count: How many there are.
        first: Whether this process speaks for its machine.
        talks: How often all have said something.
    """

    def __init__(self, store: "Store", number: int, count: int, first: bool) -> None:
        self._store, self.number, self.count, self.first, self.talks = store, number, count, first, 0

    def tell(self, topic: str, value: bytes) -> None:
        """Leave something for all."""
        with _talking():
            self._store.set(topic, value)  # type: ignore[arg-type]  # text or bytes

    def hear(self, topic: str, patience: float = PATIENCE) -> bytes:
        """What was told, once it is.

        Raises:
            FERError: If it is not within so many seconds, or a machine refused the training or is gone.
        """
        self._wait([topic], patience)
        with _talking():
            value: bytes = self._store.get(topic)
            return value

    def forget(self, topic: str) -> None:
        """Free the memory of what was told."""
        with _talking():
            self._store.delete_key(topic)

    def gather(self, topic: str, value: Any, patience: float = PATIENCE) -> list[Any]:
        """What every machine says on a topic, in plain values; a topic may come up again.

        Raises:
            FERError: See `hear`.
        """
        self.talks += 1  # the same on all machines: so nobody hears what was said the last time
        topic = f"{topic}/{self.talks}"
        if self.first:
            self.tell(f"{topic}/{self.number}", json.dumps(value).encode())
        self._wait([f"{topic}/{number}" for number in range(self.count)], patience)
        return [json.loads(self.hear(f"{topic}/{number}")) for number in range(self.count)]

    def refuse(self, why: str) -> None:
        """Tell the others why this process ends, so that none waits for it."""
        with _talking():
            if not self._store.check([_REFUSED]):
                self._store.set(_REFUSED, f"machine {self.number}: {why}")
            if self.number == 0 and self.first:  # its process may be the one that keeps the store
                end = time.monotonic() + _HEARD
                while self._store.add("heard", 0) < self.count - 1 and time.monotonic() < end:
                    time.sleep(0.1)

    def _wait(self, topics: Sequence[str], patience: float) -> None:
        end = time.monotonic() + patience
        with _talking():
            while not self._store.check(list(topics)):
                if self._store.check([_REFUSED]):
                    why = self._store.get(_REFUSED).decode()
                    if self.first:
                        self._store.add("heard", 1)
                    raise RefusedElsewhereError(
                        f"Another machine of this training has refused it, so this one ends too. By {why}"
                    )
                if time.monotonic() > end:
                    missing = [topic for topic in topics if not self._store.check([topic])]
                    raise FERError(
                        f"Another machine of this training has not said '{missing[0]}' within {patience:g} seconds, so "
                        "this one ends. Look at its output. Go on with --ckpt_path last."
                    )
                time.sleep(0.05)


@cache
def nodes() -> Nodes | None:
    """The machines that torchrun or srun has started this training on; None if it is one, or they have not.

    Raises:
        FERError: If what torchrun was told keeps a training from going on after the loss of a machine.
    """
    environment: ClusterEnvironment
    if TorchElasticEnvironment.detect():
        environment, count = TorchElasticEnvironment(), int(os.environ.get("GROUP_WORLD_SIZE", "1"))
        shared = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
        if count > 1 and shared and os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0") != "0":
            raise FERError(
                "torchrun with --max_restarts on several machines keeps addresses of processes that are gone, which "
                "those that it starts again wait for (pytorch issue 135712). Start it with --rdzv_backend c10d and "
                "with TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 in the environment, on every machine."
            )
    elif "SLURM_NTASKS" in os.environ and SLURMEnvironment.detect():
        environment, count = SLURMEnvironment(), int(os.environ.get("SLURM_NNODES", "1"))
    else:
        return None
    if count < 2:
        return None
    rank, size = environment.global_rank(), environment.world_size()
    address = f"tcp://{environment.main_address}:{environment.main_port}"
    from torch.distributed.distributed_c10d import PrefixStore  # not there on every platform
    from torch.distributed.rendezvous import rendezvous

    with _talking():  # the same store that the group of gloo or NCCL will meet at
        store, *_ = next(rendezvous(address, rank, size, timeout=timedelta(seconds=PATIENCE)))
        prefixed = PrefixStore("fer_lightning", store)
    return Nodes(prefixed, environment.node_rank(), count, environment.local_rank() == 0)


@contextmanager
def refusing_together() -> Iterator[None]:
    """Tell the other machines if this process refuses the training before it begins, so that none waits for it."""
    there = nodes()
    try:
        yield
    except (FERError, OSError) as error:
        if there and not isinstance(error, RefusedElsewhereError) and not distributed.is_initialized():
            with suppress(FERError):
                there.refuse(str(error))
        raise


@contextmanager
def _talking() -> Iterator[None]:
    """One message where the store is gone, with the machine that kept it."""
    try:
        yield
    except distributed.DistError as error:
        raise RefusedElsewhereError(LOST_PEER) from error
