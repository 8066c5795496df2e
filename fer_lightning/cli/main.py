"""The front door: answers at once what needs no torch, and opens the verb for the rest."""

import contextlib
import errno
import logging
import os
import shlex
import signal
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from fer_lightning.cli.commands import OLD_VERBS, VERBS, UsageError, nearest
from fer_lightning.cli.explained import is_out_of_memory, more
from fer_lightning.cli.stopping import Stopped, Stopping, stopping
from fer_lightning.deprecations import renamed
from fer_lightning.errors import FERError
from fer_lightning.names import printable
from fer_lightning.program import end_with_caller, in_ipython, print_any_name, program
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
_ADVERTISEMENTS = (
    "Detected KeyboardInterrupt",
    "[rank: 0] Received SIGTERM",
    "💡",
    "TPU available",
    "HPU available",
    "GPU available: False",
    "LOCAL_RANK: ",
    "Using bfloat16",
    "Seed set to",
    "Restoring states from",
    "Loaded model weights from",
    "`Trainer.fit` stopped:",
    "You are using a CUDA device",
)
"""What libraries say that does not concern the user."""

_OTHERS_VERBS = {"train": "fit", "eval": "test", "evaluate": "test", "infer": "predict", "detect": "predict"}
"""What other programs call some of the verbs."""


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line.

    Args:
        args: The words after the program's name; None takes those of the process.

    Raises:
        SystemExit: With a message on standard error: status 2 after a user's mistake, 130 after Ctrl-C, 143 after
            SIGTERM, 129 after SIGHUP.
        FERError: In IPython and Jupyter, where leaving the program would leave nothing, instead of status 2 or 1.
        KeyboardInterrupt: There, after a signal.
    """
    print_any_name()
    if args is None and not (sys.stderr and sys.stderr.isatty()):  # a log keeps every state of a bar
        os.environ |= {"TQDM_MININTERVAL": "30", "TQDM_MAXINTERVAL": "60"} | os.environ
    words = list(sys.argv[1:] if args is None else args)
    if words in ([], ["--help"], ["-h"], ["help"]):
        print(_overview(), end="")
        return
    if words == ["--version"]:
        print(f"fer_lightning {__version__}")
        return
    verb, *words = words
    if verb in OLD_VERBS:
        print(renamed(f"The verb {verb}", OLD_VERBS[verb]), file=sys.stderr)
        verb = OLD_VERBS[verb]
    if verb not in VERBS and os.path.exists(verb):
        said = f"Expected a verb first. To name the expressions in '{verb}': {program()} predict {shlex.quote(verb)}"
        _fail(said + more(UsageError()))
    if verb not in VERBS:
        meant = f" Did you mean {_OTHERS_VERBS[verb]}?" if verb in _OTHERS_VERBS else nearest(verb, VERBS)
        said = f"Unknown verb '{verb}'.{meant} Expected one of {', '.join(VERBS)}."
        if verb.startswith("-"):
            said = f"Expected a verb before {verb}, as {program()} fit {verb}. There are {', '.join(VERBS)}."
        _fail(f"{said}\nWhat they do: {program()} --help{more(UsageError())}")
    if "--help" in words or "-h" in words:
        print(VERBS[verb].page, end="")
        return
    end_with_caller()
    with stopping(process_ends=args is None) as stop:
        try:
            _run(verb, words, stop)
        except SystemExit as error:
            if in_ipython():
                status = stop.status if stop.number is not None else error.code
                if not status:
                    return
                _end(status if isinstance(status, int) else 1, verb=verb)
            if stop.number is None:
                raise
            _end(stop.status)
        except BaseException as error:
            message, status = _answer(verb, error, stop)
            if not status:
                raise
            _end(status, message)


def _run(verb: str, words: Sequence[str], stop: Stopping) -> None:
    _keep_quiet()
    if module := VERBS[verb].entry.partition(":")[0]:
        from fer_lightning.cli import functions

        import_module(module)
        stop.begin()
        functions.run(VERBS[verb], words)
    else:
        from fer_lightning.cli import any_model, trainer

        stop.begin()
        (any_model if any_model.is_meant(verb, words) else trainer).run(verb, words)


def _keep_quiet() -> None:
    places = ("utilities.rank_zero", "trainer.connectors.signal_connector", "accelerators.cuda")
    for name in (*(f"pytorch.{place}" for place in places), "fabric.utilities.seed"):
        logging.getLogger(f"lightning.{name}").addFilter(_is_no_advertisement)
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


def _answer(verb: str, error: BaseException, stop: Stopping) -> tuple[str, int]:
    """What to say of an exception in one message, and the exit status; 0 if it is none that a user can put right."""
    notes = "".join(f" {note}" for note in getattr(error, "__notes__", ()))
    if stop.number is not None or isinstance(error, KeyboardInterrupt):  # imports turn it into exceptions of their own
        return f"Stopped by {stop.name}.{notes}", stop.status
    if isinstance(error, UsageError):
        return f"error: {error}\nAll options: {program()} {verb} --help_all{more(error)}", 2
    if is_out_of_memory(error):
        return f"error: There is not enough memory for this.{notes}{more(error)}", 2
    if isinstance(error, FERError):
        return f"error: {error}{notes}{more(error)}", 2
    if isinstance(error, BrokenPipeError):  # nobody reads any more, as with `| head`
        return "", 128 + getattr(signal, "SIGPIPE", 13)  # Windows has no such signal
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"error: The disk is full. Free some space, or choose another place to write to.{notes}{more(error)}", 2
    if isinstance(error, OSError) and (error.filename is not None or error.errno is not None):
        where = f": '{error.filename}'" if error.filename is not None else ""
        return f"error: {error.strerror or error}{where}.{notes}{more(error)}", 2
    return "", 0


def _say(message: str) -> None:
    """Print a message; what cannot be printed is left out, as there is nobody to tell."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    with contextlib.suppress(OSError, ValueError):
        if message:
            print(printable(message), file=sys.stderr, flush=True)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # else the interpreter complains about it at its end
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _fail(message: str) -> NoReturn:
    _end(2, f"error: {message}")


def _end(status: int, message: str = "", verb: str = "") -> NoReturn:
    """End the program, without what led here: it may refer to itself, and Jupyter follows it for ever."""
    ended: BaseException
    if not in_ipython():
        _say(message)
        ended = SystemExit(status)
    elif status > 128:
        name = "Ctrl-C" if status == 128 + signal.SIGINT else signal.Signals(status - 128).name
        ended = Stopped(message or f"Stopped by {name}.")
    else:
        ended = FERError(message.removeprefix("error: ") or f"{verb} ended with status {status}, for the reason above.")
    try:
        raise ended
    finally:
        ended.__context__ = None
