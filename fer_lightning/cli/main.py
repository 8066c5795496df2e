"""The front door: answers at once what needs no torch, and opens the verb for the rest."""

import errno
import logging
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn

from fer_lightning.cli.commands import OLD_VERBS, VERBS, UsageError, nearest
from fer_lightning.errors import FERError
from fer_lightning.program import program
from fer_lightning.version import __version__

_WARNINGS = (
    ".*does not have many workers.*",
    ".*could not find the monitored key in the returned metrics.*",  # a training that ends within its first epoch
    ".*exists and is not empty.*",
    ".*callbacks used to create the checkpoint need to be provided.*",
    ".*your dataloader is not resumable.*",  # the sampler is: see FERDataModule
    ".*number of training batches.*is smaller than the logging interval.*",
    ".*torch.distributed.nn.functional.all_gather is deprecated.*",
    ".*isinstance.treespec, LeafSpec.. is deprecated.*",
)
_ADVERTISEMENTS = ("💡", "TPU available", "HPU available", "GPU available: False", "Using bfloat16")
"""What libraries say that does not concern the user."""


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line.

    Args:
        args: The words after the program's name; None takes those of the process.

    Raises:
        SystemExit: With status 2 and a message on standard error after a user's mistake.
    """
    words = list(sys.argv[1:] if args is None else args)
    if words in ([], ["--help"], ["-h"]):
        print(_overview(), end="")
        return
    if words == ["--version"]:
        print(f"fer_lightning {__version__}")
        return
    verb, *words = words
    if verb in OLD_VERBS:
        print(f"Note   The verb {verb} is now {OLD_VERBS[verb]}.", file=sys.stderr)
        verb = OLD_VERBS[verb]
    if verb not in VERBS:
        _fail(
            f"Unknown verb '{verb}'.{nearest(verb, VERBS)} Expected one of {', '.join(VERBS)}.\n"
            f"What they do: {program()} --help"
        )
    if "--help" in words or "-h" in words:
        print(VERBS[verb].page, end="")
        return
    try:
        _keep_quiet()
        if VERBS[verb].entry:
            from fer_lightning.cli import functions

            functions.run(VERBS[verb], words)
        else:
            from fer_lightning.cli import trainer

            trainer.run(verb, words)
    except UsageError as error:
        _fail(f"{error}\nAll options: {program()} {verb} --help_all")
    except FERError as error:
        _fail(str(error))
    except OSError as error:
        if error.errno == errno.ENOSPC:
            _fail(
                "The disk is full. Free some space, or choose another place with --runs_dir DIR; then go on with "
                "--ckpt_path last: the checkpoint before this one is whole."
                if verb == "fit"
                else "The disk is full. Free some space, then give the same command again."
            )
        if error.filename is None and error.errno is None:
            raise
        _fail(f"{error.strerror}: '{error.filename}'" if error.filename else str(error))


def _keep_quiet() -> None:
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(_is_no_advertisement)
    for message in _WARNINGS:
        warnings.filterwarnings("ignore", message=message)


def _is_no_advertisement(record: logging.LogRecord) -> bool:
    return not record.getMessage().lstrip().startswith(_ADVERTISEMENTS)


def _overview() -> str:
    lines = "".join(f"  {verb:<16}{command.summary}\n" for verb, command in VERBS.items())
    return f"""Facial expression recognition with PyTorch Lightning.

usage: {program()} VERB [options]        {program()} VERB --help says more

{lines}
  {program()} fit --data.root DATA --name mine
  {program()} test --name mine --ckpt_path best
  {program()} fit --name mine --ckpt_path last     go on with a run that was stopped
"""


def _fail(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr, flush=True)
    status = SystemExit(2)
    try:
        raise status
    finally:
        status.__context__ = None  # what led here may refer to itself, and Jupyter follows it for ever
