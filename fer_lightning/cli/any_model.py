"""`test` and `validate` of any model: answers in a file, or a Python function that gives them."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from tqdm import tqdm

from fer_lightning.cli.callbacks import SLICES
from fer_lightning.cli.commands import VERBS, UsageError, take
from fer_lightning.cli.configs import DEFAULT, layers
from fer_lightning.cli.own_parts import find_own_parts
from fer_lightning.cli.parser import OneMessage
from fer_lightning.cli.run_folder import check_report
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.legend import SUBSETS
from fer_lightning.data.splits import TESTING, TRAINING
from fer_lightning.errors import FERError
from fer_lightning.evaluation.answered import Missing, placed
from fer_lightning.evaluation.answers import Answers, answers_of, flat, read_rows
from fer_lightning.evaluation.divisions import check_slices
from fer_lightning.evaluation.predictions import of_split
from fer_lightning.files import check_path, sha256_of
from fer_lightning.names import check_name, file_name, one_line
from fer_lightning.program import program
from fer_lightning.reports.data_summary import describe
from fer_lightning.reports.evaluation import evaluate
from fer_lightning.reports.provenance import how
from fer_lightning.screen import say

OPTIONS = ("--predictions", "--callable")
_AT_ONCE = 32
_MODELS = ("--ckpt_path", "--model", "--trainer", "--network", "--data_module")
"""What names or runs a network of ours."""


def is_meant(verb: str, words: Sequence[str]) -> bool:
    """Whether the words of a verb are about a model that is not ours."""
    return verb in ("test", "validate") and any(word.partition("=")[0] in OPTIONS for word in words)


def parser_of(verb: str) -> OneMessage:
    """The parser of the options of a measurement without a checkpoint."""
    parser = OneMessage(usage=f"{program()} {verb} [options]", description="Measure the answers of any model.")
    parser.add_argument("--config", action="config")
    for name, help_text in _HELP.items():
        parser.add_argument(f"--{name}", type=str | None, default=None, help=help_text)
    parser.add_argument("--missing", type=Missing, default="error", help=_MISSING)
    parser.add_argument("--runs_dir", type=str, default="runs", help="Folder that holds the runs.")
    parser.add_argument("--slices", type=list[str] | str | None, default=None, help=SLICES)
    parser.add_class_arguments(FERDataModule, "data")
    parser.set_defaults({"data.cache": False})  # nothing is decoded
    return parser


def run(verb: str, words: Sequence[str]) -> None:
    """Measure what a file or function says, with the report that `test` and `validate` write.

    Raises:
        FERError: If an option is wrong, or the answers do not fit the data set.
    """
    parser = parser_of(verb)
    if "--help_all" in words:
        parser.print_help()
        return
    given, options = layers(words, lambda line: say(line, sys.stderr))
    named = take(options, *OPTIONS)[0]
    if len(named) > 1 or len(next(iter(named.values()), [])) != 1:
        raise UsageError("Expected one of --predictions and --callable, once.")
    for word in options:
        if word.startswith(_MODELS):
            raise UsageError(
                f"{word.partition('=')[0]} is about networks of ours. --{next(iter(named))} measures the answers of "
                "another model. Leave one of them away."
            )
    parser.check_options(options, VERBS[verb].options)
    defaults = yaml.safe_load(DEFAULT.read_text(encoding="utf-8"))
    texts = [
        yaml.safe_dump({"data": one.get("data") or {}}) for one in (defaults, *(layer.settings for layer in given))
    ]
    chosen = parser.instantiate(parser.parse_args([*(f"--config={text}" for text in texts), *options]))
    _measure(verb, chosen.predictions, chosen.callable, chosen)


_HELP = {
    "predictions": "File of answers (.csv or .jsonl), a row an image, in the place of a checkpoint.",
    "callable": "Function of yours in the place of a checkpoint, as my_model.predict: it takes a list of paths of "
    "images, and returns for each a dict with the probability of each class, a class, or None.",
    "name": "Name of the report's run and of its folder; without it, that of the file or function.",
}
_MISSING = "What becomes of images without an answer: error, drop, or baseline, the class frequencies in training."


def _measure(verb: str, predictions: str | None, function: str | None, chosen: Any) -> None:
    data, origin = chosen.data, predictions or function or ""
    name = check_name(chosen.name or file_name(Path(origin).stem if predictions else origin), "--name")
    check_path("--runs_dir", chosen.runs_dir)
    run_dir = Path(chosen.runs_dir) / name
    check_report(run_dir, Path(origin), verb)
    if predictions is not None:
        rows = list(read_rows(predictions, "--predictions"))
    call = _function(function) if function is not None else None
    check_slices(chosen.slices, data.legend.attributes)
    split, subset = data.split, TESTING if verb == "test" else data.subsets.validation
    print(describe(data), end="", flush=True)
    wanted = split.rows(subset)
    if call is not None:
        images = dict.fromkeys(split.legend.images[row] for row in wanted.tolist())
        rows = list(_called(call, origin, split.legend.image_dir, list(images)))
    answers: Answers = answers_of(rows, origin, split.legend.class_names)
    prior = split.counts[TRAINING] / split.counts[TRAINING].sum()
    kept, found, notes = placed(answers, split, wanted, prior, chosen.missing)
    for note in notes:
        say(f"Note   {note}")
    about = {
        "subset": SUBSETS[subset],
        "answers": origin,
        "notes": notes,
        "data": list(data.subsets.names),
        "image_dir": str(split.legend.image_dir.resolve()),
        "split": split.fingerprint,
        "split_options": split.options,
        "how": how(),
    }
    if predictions is not None:
        about["answers_sha256"] = sha256_of(predictions)
    whole = np.append(prior, np.zeros(len(answers.class_names) - len(prior)))
    rest = answers.class_names, answers.scored
    report = of_split(split, kept, found, *rest)
    evaluate(report, whole, split.legend.image_dir, run_dir / verb, about, slices=chosen.slices)


def _function(path: str) -> Callable[[list[str]], Any]:
    """The function that a user named; an FERError if there is none."""
    find_own_parts([path])
    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise FERError(f"Invalid value for --callable. Cannot import '{path}': {error}.") from None
    if not callable(found):
        raise FERError(f"Invalid value for --callable. Expected a function. '{path}' is of {type(found).__name__}.")
    wanted: Callable[[list[str]], Any] = found
    return wanted


def _called(
    call: Callable[[list[str]], Any], name: str, image_dir: Path, images: Sequence[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """What the function says about each image, as rows."""
    for start in tqdm(range(0, len(images), _AT_ONCE), "Answering", delay=1, leave=False):
        some = images[start : start + _AT_ONCE]
        try:
            said = list(call([str(image_dir / image) for image in some]))
        except Exception as error:  # whatever a user's function raises
            last = error.__traceback__
            while last and last.tb_next:
                last = last.tb_next
            place = f"{Path(last.tb_frame.f_code.co_filename).name}, line {last.tb_lineno}" if last else "?"
            raise FERError(
                f"{name} failed with images from '{one_line(some[0])}' on: {type(error).__name__}: {error} ({place})."
            ) from error
        if len(said) != len(some):
            raise FERError(f"{name} returned {len(said)} answers for {len(some)} images. Expected one for each.")
        for image, answer in zip(some, said, strict=True):
            if not (answer is None or isinstance(answer, str | Mapping)):
                raise FERError(
                    f"{name} returned {one_line(repr(answer))} for '{one_line(image)}'. Expected a dict with the "
                    "probability of each class, a class, or None."
                )
            row = flat(answer) if isinstance(answer, Mapping) else {} if answer is None else {"predicted": answer}
            yield f"The answer to '{one_line(image)}'", row | {"image": image}
