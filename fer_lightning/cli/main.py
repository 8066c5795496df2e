"""The front door: answers at once what needs no torch, and opens the command line for the rest."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from fer_lightning import __version__

_HELP = """Facial expression recognition with PyTorch Lightning.

usage: {command} VERB [options]        {command} VERB --help lists them all

  fit        train a network; without options, on the embedded data set of drawn faces
  validate   measure a checkpoint on the validation part
  test       measure a checkpoint on the testing part, with a report
{others}

  {command} fit --data.root DATA --name mine
  {command} test --name mine --ckpt_path best
  {command} fit --name mine --ckpt_path last                go on with a run that was stopped
"""


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line.

    Args:
        args: The words after the program's name; None takes those of the process.
    """
    words = list(sys.argv[1:] if args is None else args)
    if words in ([], ["--help"], ["-h"]):
        from fer_lightning.cli.commands import VERBS

        others = "\n".join(f"  {verb:<10} {said[0].lower()}{said[1:-1]}" for verb, said in VERBS.items())
        print(_HELP.format(command=command(), others=others), end="")
    elif words == ["--version"]:
        print(f"fer_lightning {__version__}")
    else:
        from fer_lightning.cli.trainer import main as run

        run(words)


def command() -> str:
    """How the user called the program."""
    name = sys.argv[0].replace("\\", "/").rpartition("/")[2]
    return "fer" if name == "fer" else "python train.py"
