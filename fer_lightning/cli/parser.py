"""Parsers that answer a mistake with one message, and with the nearest option that there is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, Namespace

from fer_lightning.cli.words import UsageError, flattened, nearest
from fer_lightning.errors import FERError

EXTRAS = {"timm": "its optimizer or its network"}
"""Packages that a class path may name, which are not installed with ours, and what for."""


class OneMessage(ArgumentParser):
    """Raises mistakes as the project's own errors; the usage of all options would push them off the screen."""

    _for_class = ""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise the message, or what is behind it.

        Raises:
            FERError: Always.
        """
        for cause in _causes(ex):
            if isinstance(cause, FERError):
                raise cause from None
            package = (cause.name or "").partition(".")[0] if isinstance(cause, ImportError) else ""
            if package in EXTRAS:
                raise FERError(
                    f"This needs {package}, for {EXTRAS[package]}: pip install {package}, or '.[{package}]' with the "
                    "rest."
                ) from ex
        raise UsageError(message) from ex

    def add_class_arguments(self, class_type: type, nested_key: str | None = None, *args: Any, **kwargs: Any) -> Any:
        """Add a class's arguments as always; a parser for one class alone remembers which."""
        if nested_key is None:
            self._for_class = class_type.__name__
        return super().add_class_arguments(class_type, nested_key, *args, **kwargs)

    def validate(self, cfg: Namespace, *args: Any, **kwargs: Any) -> None:
        """Check settings as always, and say which of them is unknown.

        Raises:
            UsageError: If one is.
        """
        try:
            super().validate(cfg, *args, **kwargs)
        except KeyError:
            self._check(list(cfg.keys()))
            raise

    def check_options(self, words: Sequence[str], also: Collection[str] = ()) -> None:
        """Make sure that the options on a command line exist, before anything is read.

        Args:
            words: The command line.
            also: Options of classes that may be meant.

        Raises:
            UsageError: If one does not exist. What stands beneath an option that takes a class is left to the parser
                of that class.
        """
        names = [word.partition("=")[0] for word in words if word.startswith("--") and word != "--"]
        self._check([name[2:].removesuffix("+") for name in names if " " not in name], "", also)

    def check_settings(self, settings: Mapping[str, Any], file: str) -> None:
        """The same for what a configuration file says."""
        leaves = self._known() - set(self.groups or ())
        self._check(flattened(settings, leaves), f" (in {file})")

    def _check(self, names: Iterable[str], where: str = "", also: Collection[str] = ()) -> None:
        known = self._known()
        classes = {name.removesuffix(".help") for name in known if name.endswith(".help")}
        for name in names:
            if name not in known and not any(name.startswith(f"{outer}.") for outer in classes):
                choice = {option for option in known if not option.endswith((".help", "+"))} | {*also}
                whose, dashes = "There is", "--"
                if getattr(self, "_inner_parser", False):  # of the class that an option was given, or of none
                    whose, dashes = f"{self._for_class} has" if self._for_class else "Without a class, there is", ""
                raise UsageError(f"{whose} no option {dashes}{name}{where}.{nearest(name, choice, dashes)}")

    def _known(self) -> set[str]:
        return {name.removeprefix("--") for name in self._option_string_actions if name.startswith("--")}


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
