"""How many processor cores there are for this process."""

import os


def available_cpus(keep: int = 1) -> int:
    """The cores this process may use, less those to keep free, from 0 to 8; at least 1 if none is to be kept."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(0, min(8, cores - keep))
