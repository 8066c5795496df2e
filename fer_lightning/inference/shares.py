"""Work that processes share, in order."""

from collections.abc import Callable, Iterator
from typing import Any

from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from fer_lightning.processes import start_worker


class Shares(IterableDataset[Any]):
    """What `share(k, n)` gives in process k of n."""

    def __init__(self, share: Callable[[int, int], Iterator[Any]]) -> None:
        self.share = share

    def __iter__(self) -> Iterator[Any]:
        info = get_worker_info()
        return self.share(info.id, info.num_workers) if info else self.share(0, 1)


def ahead_of_time(shares: Shares, count: int, ahead: int) -> Iterator[Any]:
    """All pieces in turn, made by so many processes, each some pieces ahead."""
    yield from DataLoader(shares, None, num_workers=count, prefetch_factor=ahead, worker_init_fn=start_worker)
