"""Help that answers at once: the overview, and a screen for each verb."""

from __future__ import annotations

from textwrap import wrap
from typing import Any

from fer_lightning.cli.commands import COMMANDS, Command
from fer_lightning.program import program

_WIDTH = 98
_COLUMN = 34


def overview() -> str:
    """What the program can do."""
    lines = ["Facial expression recognition with PyTorch Lightning.", ""]
    lines += [f"usage: {program()} VERB [options]        {program()} VERB --help says more", ""]
    lines += [f"  {command.name:<16}{command.summary}" for command in COMMANDS]
    shown = ("fit --data.root DATA --name mine", "test --name mine --ckpt_path best")
    lines += ["", *(f"  {program()} {words}" for words in shown)]
    lines += [f"  {program()} fit --name mine --ckpt_path last     go on with a run that was stopped"]
    return "\n".join(lines) + "\n"


def page(command: Command) -> str:
    """What a verb does, examples, and the options that people use, in at most 60 lines of 98 columns."""
    place = f" {command.several.upper()}" if command.several and not command.several.startswith("-") else ""
    title = f"{command.name}: {command.summary}."
    lines = [*wrap(title, _WIDTH), "", f"usage: {program()} {command.name}{place} [options]", ""]
    lines += [*wrap(command.about, _WIDTH), ""]
    lines += [*(f"  {program()} {words}" for words in command.examples), ""]
    for option in command.options:
        text = option.text + (f" (default: {_shown(option.default)})" if option.default is not None else "")
        first, *others = wrap(text, _WIDTH - _COLUMN)
        lines += [f"  {option.name:<{_COLUMN - 3}} {first}", *(" " * _COLUMN + line for line in others)]
    return "\n".join([*lines, "", f"All options: {program()} {command.name} --help_all"]) + "\n"


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
