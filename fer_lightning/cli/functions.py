"""Verbs that are plain functions: their docstrings and types make the parser."""

import inspect
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from fer_lightning.cli.commands import Command, take
from fer_lightning.cli.own_parts import find_own_parts
from fer_lightning.cli.parser import OneMessage
from fer_lightning.deprecations import gone, renamed
from fer_lightning.program import program
from fer_lightning.screen import say

_ALONE = ("--overwrite", "--hub")
"""Options that mean true by themselves, as messages name them."""


def run(command: Command, words: Sequence[str]) -> None:
    """Run a verb with the words behind it; the process ends with status 1 if what it found is `failed`."""
    parser, function = parser_of(command)
    if "--help_all" in words:
        parser.print_help()
        return
    find_own_parts(take(words, "--network")[0].get("network", []))
    taken, words = take(words, *(f"--{old}" for old in (*command.renamed, *command.gone)))
    for old, values in taken.items():
        new = command.renamed.get(old)
        say(renamed(f"--{old}", f"--{new}") if new else gone(f"--{old}", command.gone[old]), sys.stderr)
        words += [f"--{new}={value}" for value in values if new]
    words = with_option(words, command) if command.loose else words
    words = [f"{word}=true" if _stands_alone(words, place) else word for place, word in enumerate(words)]
    given: dict[str, Any] = {}
    if command.rest:
        own = [name.partition("=")[0] for name in parser._option_string_actions if name not in ("-h", "--help")]
        taken, given[command.rest] = take(words, *own)
        words = [f"--{name}={values[-1]}" for name, values in taken.items()]
    parser.check_options(words)
    found = function(**given, **vars(parser.instantiate(parser.parse_args(words))))
    if getattr(found, "failed", False):
        raise SystemExit(1)


def with_option(words: Sequence[str], command: Command) -> list[str]:
    """The words in which those of no option, as `photo.jpg`, are of the option that the command has for them.

    argparse cannot do that where options and other words take turns.
    """
    found: list[str] = []
    several, left, ended = False, 0, False
    for place, word in enumerate(words):
        if word == "--" and not ended:
            ended = True
        elif not ended and word.startswith("--"):
            option, equals, _ = word.partition("=")
            several = option in command.several and not equals
            left = 0 if several or equals or _stands_alone(words, place) else 1
            found.append(word)
        elif not ended and (several or left):
            left = 0
            found.append(word)
        else:
            found.append(f"{command.loose}={word}")
    return found


def _stands_alone(words: Sequence[str], place: int) -> bool:
    """Whether a word is one of `_ALONE` without a true or false behind it."""
    return words[place] in _ALONE and words[place + 1 : place + 2] not in (["true"], ["false"])


def parser_of(command: Command) -> tuple[OneMessage, Callable[..., Any]]:
    """The parser of a verb's options, and its function."""
    module, _, name = command.entry.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), name)
    about = inspect.cleandoc(function.__doc__ or "").partition("\nArgs:")[0]
    parser = OneMessage(usage=f"{program()} {command.name} [options]", description=about)
    parser.add_function_arguments(function, skip={command.rest, *(name.removeprefix("--") for name in command.several)})
    for name in command.several:
        parser.add_argument(name, nargs="+", action="extend", type=str, help=command.options[name])
    return parser, function
