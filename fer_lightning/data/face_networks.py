"""Run the small networks that find faces and their landmarks: by torch, or as a bundle has them, without it."""

import ctypes
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from fer_lightning.errors import FERError, MissingPackageError

if TYPE_CHECKING:
    from torch import nn

    Network = TypeVar("Network", bound=nn.Module)


class OneThread:
    """Within, torch uses the calling thread alone: on a busy machine, OpenMP's threads wait for each other.

    OpenMP is asked and not torch, whose number is for the whole process. OMP_NUM_THREADS is obeyed.
    """

    def __init__(self) -> None:
        here = None if os.name == "nt" or os.environ.get("OMP_NUM_THREADS") else ctypes.CDLL(None)
        self._openmp = here if hasattr(here, "omp_set_num_threads") else None
        self._before = threading.local()

    def __enter__(self) -> None:
        if self._openmp:
            self._before.count = self._openmp.omp_get_max_threads()
            self._openmp.omp_set_num_threads(1)

    def __exit__(self, *error: object) -> None:
        if self._openmp:
            self._openmp.omp_set_num_threads(self._before.count)


def with_weights(network: "Network", weights: Path) -> "Network":
    """A network ready to answer, with the weights of a safetensors file."""
    import torch
    from safetensors.torch import load_file

    network.load_state_dict(load_file(weights))
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def exported(
    file: str | os.PathLike[str],
    what: str,
    answers: str,
    output: str,
    shape: Callable[[np.ndarray], tuple[int, ...]],
) -> Callable[[np.ndarray], np.ndarray]:
    """The network of a file of a bundle as a function of its input, by onnxruntime.

    Args:
        file: The ONNX file.
        what: What it is, for messages.
        answers: What it finds, for messages.
        output: The name of its output.
        shape: That of the output for an input, which tells whether an answer is one.

    Raises:
        FERError: If onnxruntime is missing; when it is asked, if the network does not work.
    """
    try:
        import onnxruntime
    except ImportError:
        raise MissingPackageError(f"The {what} of a bundle needs onnxruntime: pip install onnxruntime.") from None

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    def answer(image: np.ndarray) -> np.ndarray:
        try:
            found: np.ndarray = session.run([output], {"image": image})[0]
        except Exception as error:  # onnxruntime's own have no base class in common
            said = str(error).partition("\n")[0][:200]
            raise FERError(f"The {what} '{file}' does not work: {said}. Export it again.") from None
        if found.shape != shape(image) or not np.isfinite(found).all():
            raise FERError(f"The {what} '{file}' gives answers that are no {answers}. Export it again.")
        return found

    return answer
