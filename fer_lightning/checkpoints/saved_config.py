"""The configuration that a checkpoint was trained with, as far as a file is believed."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from fer_lightning.checkpoints.hub import SCHEME
from fer_lightning.checkpoints.reading import read_checkpoint
from fer_lightning.errors import FERError
from fer_lightning.names import printable
from fer_lightning.networks.class_paths import RefusedClassError, check_arguments
from fer_lightning.storage import is_address, without_secret
from fer_lightning.values import is_no_file, shown

_SECTIONS = ("model", "data", "trainer", "early_stopping", "checkpoint_best", "checkpoint_last")
"""What is taken over, beside the seed. Not the rest: a run's name and folder, or how files are opened."""

_OF_A_TRAINING = {"model": ("optimizer", "lr_scheduler", "distillation"), "data": ("soft_labels", "unaligned")}
"""What a model is used without; other data may have no votes."""

_PERHAPS = {"model": ("loss",), "data": ("sampling", "augmentation")}
"""What a model is used without, unless it has a state: left out where the user did not name its class."""

_PLACES = ("default_root_dir", "dirpath", "save_dir", "root_dir", "log_dir", "prepared_dir", "output_dir")
"""Names of arguments that say where to write: the user alone says that."""

_WHERE_DATA_ARE = ("root", "source", "legend", "images")
"""Settings that say where a data set is."""

_OF_ONE_DATA_SET = ("columns", "exclude", "relabel")
"""Settings that are of one data set alone: the headings of its table, and lists of its images."""


def saved_settings(
    path: str | os.PathLike[str],
    everything: bool,
    trusted: Collection[str] = (),
    kinds: Mapping[str, Any] | None = None,
    run_dir: Path | None = None,
) -> dict[str, Any]:
    """The configuration that a checkpoint was trained with, to stand beneath what the user says now.

    It never says where to write, and names no class, function or device that the user did not name.

    Args:
        path: The checkpoint.
        everything: To resume a run as it was; else only data and network, as the rest belongs to the training or the
            machine.
        trusted: Class paths outside of this package, and addresses, that the user named; and the user's own options,
            whose values in the checkpoint do not count.
        kinds: The classes whose arguments the sections are, `model` and so on; without them, only the network is
            checked.
        run_dir: Where callbacks and loggers of a resumed run write.

    Raises:
        FERError: If the file cannot be read, or says what a file may not say.
    """
    info, _ = read_checkpoint(path)
    try:
        config = info.settings
    except FERError as error:
        raise FERError(f"'{path}' is damaged. {error}") from None
    saved: dict[str, Any] = {}
    for name in _SECTIONS if everything else ("model", "data"):
        if not isinstance(part := config.get(name, {}), dict) or not all(isinstance(key, str) for key in part):
            raise FERError(f"'{path}' is damaged: the configuration of its training has {shown(part)} for '{name}'.")
        left = () if everything else _OF_A_TRAINING.get(name, ())
        saved[name] = {key: value for key, value in part.items() if key not in left}
    if isinstance(seed := config.get("seed_everything"), int) and not isinstance(seed, bool) and 0 <= seed < 2**32:
        saved["seed_everything"] = seed
    model, data = saved["model"], saved["data"]
    prior = info.class_prior
    model.update(class_prior=list(prior) if isinstance(prior, tuple) else prior, tta_flip=info.tta_flip)
    tuning = model["fine_tuning"] = dict(given) if isinstance(given := model.get("fine_tuning"), dict) else {}
    origin = tuning.get("weights") if isinstance(tuning.get("weights"), str) else info.started_from or None
    tuning["weights"] = origin if everything else None  # gone by now, perhaps
    if info.network:
        network = model["network"] = dict(info.network)
        if "weights" in (given := network.get("init_args") or {}):  # what its network started from
            network["init_args"] = given | {"weights": None}
    if data.get("label_names") is None:  # numbers mean what was said in the training, and nothing without that
        data["label_names"] = data.get("classes") or []
    data.update(info.input_spec.settings(), classes=list(info.class_names))
    data.pop("prepared_dir", None)
    for name in set(saved) - {"model", "data"}:
        _take_places(saved[name], str(run_dir) if run_dir else None)
    _check_inputs(saved, path, trusted)
    if kinds is None:
        check_arguments({"network": model.get("network")}, None, trusted, path, "--model")
    for name, kind in (kinds or {}).items():
        for key in () if everything else _PERHAPS.get(name, ()):
            try:
                check_arguments({key: saved[name].get(key)}, kind, trusted, path, f"--{name}")
            except RefusedClassError:
                del saved[name][key]
        check_arguments(saved.get(name, {}), kind, trusted, path, f"--{name}")
    return saved


def _take_places(settings: Any, instead: str | None, within_class: bool = False) -> None:
    """Take out what says where to write; a class that needs a place gets one in the run's folder."""
    if isinstance(settings, list):
        for one in settings:
            _take_places(one, instead, within_class)
    elif isinstance(settings, dict):
        for name, value in list(settings.items()):
            if name not in _PLACES:
                _take_places(value, instead, within_class or name == "init_args")
            elif value is not None:
                settings[name] = instead if within_class else None


def _check_inputs(settings: Mapping[str, Any], path: Any, trusted: Collection[str]) -> None:
    """Refuse files to read that are none, downloads, and names of files to write with a folder in them."""
    for text in texts_within(settings):
        if is_no_file(text):
            raise FERError(f"'{path}' names {shown(text)} to be read, which is a device or a pipe.")
    model = settings["model"]
    read = {key: value for key, value in model.items() if key != "fine_tuning"}  # whose weights are not read again
    data = {key: value for key, value in settings["data"].items() if f"--data.{key}" not in trusted}
    places = filter(is_address, texts_within([data.get(name) for name in ("root", "legend", "images")]))
    downloads = (text for text in texts_within([read, data]) if text.startswith(SCHEME))
    for text in (*places, *downloads):
        if text not in trusted:
            raise FERError(
                f"'{path}' names {shown(without_secret(text))} to be downloaded. If you want that, name it yourself: "
                "repeat the option of that training that says it, such as --data.root or --model.distillation.teacher."
            )
    for section in ("trainer", "checkpoint_best", "checkpoint_last", "early_stopping"):
        for text in texts_within(settings.get(section, {}), ("filename", "name", "version", "prefix", "sub_dir")):
            if "/" in text or "\\" in text or text.startswith("."):
                raise FERError(
                    f"'{path}' names the file '{printable(text[:80])}' to write to. Where to write is for you to say: "
                    "repeat the options of that training that say it, with --config or by themselves."
                )


def texts_within(value: Any, names: Collection[str] = (), named: bool = False) -> Iterator[str]:
    """All texts in settings; with `names`, those under one of them."""
    if isinstance(value, str):
        if named or not names:
            yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from texts_within(inner, names, named or name in names)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from texts_within(inner, names, named)


def leave_old_data(
    data: Any, saved: Mapping[str, Any], said: Collection[str], tell: Callable[[str], None], resumed: bool = False
) -> None:
    """Where another data set is named than that of a checkpoint, forget what is of that one alone.

    Args:
        data: The settings of the data module, changed here.
        saved: What the checkpoint says of them.
        said: What `said_of_data` gives.
        tell: Is told if more than places are left behind.
        resumed: Whether a training goes on: its data may be elsewhere by now, but are the same, and so the headings of
            the table and the lists of images stay.
    """
    named = {option.split(".")[1] for option in said}
    if "source" not in named and ("root" not in named or _places(data.get("root")) == _places(saved.get("root"))):
        return
    of_that = [*_WHERE_DATA_ARE, *(() if resumed else _OF_ONE_DATA_SET)]
    left = [name for name in of_that if name not in named and saved.get(name) is not None]
    for name in left:
        data[name] = None
    lists = ", ".join(f"--data.{name}" for name in left if name in _OF_ONE_DATA_SET)
    if lists:
        tell(f"note: {lists} of the training left away, as another data set is named; repeat what is of this one, too.")


def _places(root: Any) -> list[str]:
    """The folders, files and addresses of a data set, in full."""
    roots = root if isinstance(root, list) else [root] if root else []
    return [one if is_address(one) else os.path.abspath(os.path.expanduser(one)) for one in map(str, roots)]
