"""Parsers that answer a mistake with one message, and with the nearest option that there is."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from types import UnionType
from typing import Any, NoReturn, Union, get_args, get_origin

import yaml
from jsonargparse import ArgumentParser, Namespace, get_loader, set_loader

from fer_lightning.cli.commands import UsageError, nearest
from fer_lightning.cli.kinds import in_words
from fer_lightning.errors import FERError, MissingPackageError, constructing
from fer_lightning.values import ValuesError, check_yaml, is_no_file

_READ = ("--config", "--model", "--data", "--trainer", "--early_stopping", "--checkpoint_", "--rows")
"""Starts of the options whose values are, or may be, files to read: settings, classes and their arguments."""

_load = get_loader("yaml")


def _load_within_bounds(text: str) -> Any:
    """As jsonargparse reads YAML, which it does wherever a value is a class or several values, but not without end."""
    check_yaml(text)
    return _load(text)


set_loader("yaml", _load_within_bounds, (yaml.YAMLError, ValuesError))


def _whole_numbers_first(hint: Any) -> Any:
    """`int | float` and not `float | int`, by which `3` batches would become 3.0, and 1 batch all of them.

    Which of the two `Optional[Union[int, float]]` is, as Lightning's Trainer has it, depends on what some other package
    asked of `typing` before, as that keeps one object for both.
    """
    kinds = get_args(hint)
    if get_origin(hint) not in (Union, UnionType) or not {int, float} <= set(kinds):
        return hint
    return Union[tuple(sorted(kinds, key=lambda kind: kind is float))]  # noqa: UP007


class OneMessage(ArgumentParser):
    """Raises mistakes as the project's own errors; the usage of all options would push them off the screen."""

    _for_class = ""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise the message, or what is behind it."""
        cause: BaseException | None = ex
        while cause:
            if isinstance(cause, FERError):
                raise cause from None
            if isinstance(cause, ImportError) and (cause.name or "").partition(".")[0] == "timm":
                asked = "This needs timm, for its optimizer or its network"
                raise MissingPackageError(f"{asked}: pip install timm, or '.[timm]' with the rest.") from ex
            cause = cause.__cause__
        hints = {name: getattr(action, "_typehint", None) for name, action in self._option_string_actions.items()}
        raise UsageError(in_words(message, hints, self._for_class)) from ex

    def add_class_arguments(self, class_type: type, nested_key: str | None = None, *args: Any, **kwargs: Any) -> Any:
        """Add a class's arguments as always; a parser for one class alone remembers which."""
        if nested_key is None:
            self._for_class = class_type.__name__
        added = super().add_class_arguments(class_type, nested_key, *args, **kwargs)
        for action in self._actions:
            if hasattr(action, "_typehint"):
                action._typehint = _whole_numbers_first(action._typehint)
        return added

    def parse_args(self, *args: Any, **kwargs: Any) -> Namespace:  # type: ignore[override]
        """Parse as always; a file that is no text may stand wherever settings may."""
        try:
            found: Namespace = super().parse_args(*args, **kwargs)
            return found
        except UnicodeDecodeError as error:
            raise UsageError(f"A value names a file of settings that is not text in UTF-8 ({error}).") from None

    def instantiate(self, *args: Any, **kwargs: Any) -> Namespace:
        """Make the objects as always; what a class does not take is one message."""
        with constructing():
            made: Namespace = super().instantiate(*args, **kwargs)
        return made

    def validate(self, cfg: Namespace, *args: Any, **kwargs: Any) -> None:
        """Check settings as always, and say which of them is unknown."""
        try:
            super().validate(cfg, *args, **kwargs)
        except KeyError:
            self._check(cfg.keys())
            raise

    def check_options(self, words: Sequence[str], also: Collection[str] = ()) -> None:
        """Refuse options that do not exist with a UsageError, before anything is read; `also` may be meant as well.

        What stands beneath an option that takes a class is left to the parser of that class.
        """
        names = [word.partition("=")[0] for word in words if word.startswith("--") and word != "--"]
        for before, word in pairwise(["", *words]):
            option, _, value = word.partition("=") if word.startswith("--") else (before, "", word)
            if option.startswith(_READ) and is_no_file(value):
                raise UsageError(f"Invalid value for {option}. Expected a file. '{value}' is a device or a pipe.")
        self._check([name[2:].removesuffix("+") for name in names if " " not in name], also=also)

    def check_settings(self, settings: Mapping[str, Any], file: str) -> None:
        """The same for what a configuration file says."""
        self._check((name for name, _ in self.named(settings)), f" (in {file})")

    def named(self, settings: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
        """Nested settings under the names of the options that they are, `a.b.c`."""
        for key, value in settings.items():
            if isinstance(value, Mapping) and f"{within}{key}" in (self.groups or {}):
                yield from self.named(value, f"{within}{key}.")
            else:
                yield f"{within}{key}", value

    def _check(self, names: Iterable[str], where: str = "", also: Collection[str] = ()) -> None:
        known = {name.removeprefix("--") for name in self._option_string_actions if name.startswith("--")}
        of_classes = tuple(name.removesuffix("help") for name in known if name.endswith(".help"))
        for name in names:
            if name in known or name.startswith(of_classes):
                continue
            choice = {option.removeprefix("--") for option in (*known, *also) if not option.endswith((".help", "+"))}
            whose, dashes = "There is", "--"
            if getattr(self, "_inner_parser", False):  # of the class that an option was given, or of none
                whose, dashes = f"{self._for_class} has" if self._for_class else "Without a class, there is", ""
            raise UsageError(f"{whose} no option {dashes}{name}{where}.{nearest(name, choice, dashes)}")
