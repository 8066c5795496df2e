"""Where a checkpoint is that a user means."""

import hashlib
import os
from pathlib import Path

from fer_lightning.checkpoints.hub import SCHEME, address_of, downloaded
from fer_lightning.errors import FERError
from fer_lightning.files import no_file, sha256_of

PRETRAINED = Path(__file__).parents[1] / "weights" / "pretrained.safetensors"
"""The weights that come with the package, which are used where nothing else is said."""

NAMED = {path.stem: path for path in (PRETRAINED, PRETRAINED.with_stem("pretrained-large"))}
"""All weights that come with the package, by their names."""

DEFAULT_RUN = Path("runs/default")
"""The run that `best` and `last` are of where nothing else is said."""

BUNDLED = "model.onnx"
"""What the network is called in a folder that `export` wrote."""

HUB_WEIGHTS, HUB_CONFIG = "model.safetensors", "config.json"
"""The weights in a folder that `export --hub` wrote, and what says how to use them."""


def find_checkpoint(given: str | os.PathLike[str], run_dir: Path | None = None, option: str = "--ckpt_path") -> Path:
    """The file that a name such as `pretrained`, a path, or `best` and `last` of the run in `run_dir` means.

    A path may be that of a folder that `export` wrote, or `hf://owner/name[@revision]`, which is downloaded once.

    Raises:
        FERError: If there is no such file.
    """
    if str(given) in NAMED:
        return NAMED[str(given)]
    if isinstance(given, str) and given.startswith(SCHEME):
        return downloaded(given, option, (HUB_CONFIG, HUB_WEIGHTS))
    if run_dir is None or given not in ("best", "last"):
        path = Path(given).expanduser()
        if path.is_file():
            return path
        for name in (BUNDLED, HUB_WEIGHTS):
            if (path / name).is_file():
                return path / name
        words = ", ".join([*(("best", "last") if run_dir else ()), *NAMED])
        raise FERError(f"Invalid value for {option}. Expected {words} or a file, found nothing at '{path}'.")
    path = run_dir / "checkpoints" / f"{given}.ckpt"
    if path.is_file():
        return path
    others = sorted({file.parent.parent.name for file in run_dir.parent.glob("*/checkpoints/*.ckpt")})
    hint = f" Runs in '{run_dir.parent}': {', '.join(others)} (choose with --name)." if others else ""
    raise FERError(f"No checkpoint '{given}' of the run '{run_dir.name}': expected a file '{path}'.{hint}")


def beside(path: str | os.PathLike[str]) -> Path | None:
    """The config.json that says how to use the weights of a hub folder, where this file is such weights."""
    config = Path(path).with_name(HUB_CONFIG)
    return config if Path(path).name == HUB_WEIGHTS and os.path.lexists(config) else None


def name_of(path: Path) -> str:
    """What a model is called: by its file, or by its folder or repository if it is in one for a hub."""
    if not beside(path):
        return path.stem
    repository = address_of(path).partition("@")[0]
    return os.path.basename(repository or os.path.dirname(os.path.abspath(path)))


def label_of(given: str) -> str:
    """What a card calls a model that somebody named: an address as it is; of a path, the last part that tells."""
    path = Path(given)
    return given if given.startswith(SCHEME) else (path.parent if path.name == HUB_WEIGHTS else path).name


def origin_of(path: Path) -> str:
    """What a file is to be found by later on: its path, or where it was downloaded from."""
    return address_of(path) or str(path)


def digest_of(path: str | os.PathLike[str]) -> str:
    """A digest of all that decides about a model's answers, 64 hexadecimal digits: that of its file, or of both."""
    config = beside(path)
    both = f"{sha256_of(path)} {sha256_of(config)}" if config and config.is_file() else ""
    return hashlib.sha256(both.encode()).hexdigest() if both else sha256_of(path)


def check_file(path: str | os.PathLike[str]) -> None:
    """An FERError if a path is no file that can be read: nothing there, a folder, a device, a pipe, or empty."""
    try:
        why = no_file(path)
        with open(os.devnull if why else path, "rb") as stream:
            empty = not stream.read(1)
    except (OSError, ValueError) as error:
        raise FERError(f"Cannot read '{path}': {getattr(error, 'strerror', None) or error}.") from None
    if why:
        raise FERError(f"Cannot read '{path}': {why}.")
    if empty:
        raise FERError(f"Cannot read '{path}': it is damaged or was never written: it is empty.")
