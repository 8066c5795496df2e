"""`estimate_prior`: how frequent the classes are in images whose labels nobody knows."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fer_lightning.checkpoints.reading import find_checkpoint
from fer_lightning.errors import FERError
from fer_lightning.inference.model import info_of_file, trained_prior
from fer_lightning.inference.rows import class_columns


def fit_prior(probabilities: np.ndarray, learned: np.ndarray) -> np.ndarray:
    """The class frequencies under which a set of images is most likely (Saerens et al. 2002, equation 2.9).

    Expectation maximisation: images are answered for the frequencies assumed so far, and the mean answer is the next
    assumption. It supposes that a class looks as in training and only its frequency differs, and that probabilities are
    calibrated.

    Args:
        probabilities: float `(n, classes)`, answers for the frequencies in training.
        learned: float `(classes,)`, the frequencies in training, above 0.

    Returns:
        float `(classes,)`, adding up to 1.
    """
    prior = np.asarray(learned, np.float64)
    for _ in range(1000):  # as a rule far fewer
        answers = probabilities * (prior / learned)
        before, prior = prior, (answers / answers.sum(1, keepdims=True)).mean(0)
        if np.abs(prior - before).max() < 1e-6:
            break
    return prior


def estimate_prior(rows: str, ckpt_path: str | None = None) -> None:
    """Estimate how frequent the classes are in images without labels, from the rows of predict or test.

    Args:
        rows: The .csv or .jsonl file, made without --class_prior.
        ckpt_path: What it was made with: pretrained, a checkpoint, or a file that `export` wrote. Without it, what the
            file of settings beside the rows says.

    Raises:
        FERError: If the file cannot be used, or the model does not know the class frequencies in its training.
    """
    beside = Path(f"{rows}.settings.json")  # of predict, or the figures of test
    if Path(rows).name == "predictions.csv" and not beside.is_file():
        beside = beside.with_name("metrics.json")
    try:
        made = dict(json.loads(beside.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        made = {}
    path = ckpt_path or made.get("model") or made.get("checkpoint")
    if not path:
        raise FERError(f"Nothing beside '{rows}' says what made it: name it with --ckpt_path.")
    info = info_of_file(find_checkpoint(path, Path("runs/default")))
    usual = info.class_prior if "checkpoint" in made else "training"  # test knows the former, predict the latter
    if made.get("class_prior", usual) != usual:
        raise FERError(f"'{rows}' was made for another class prior already: make it again without a class_prior.")
    learned = trained_prior(info)
    if not learned:
        raise FERError(f"'{path}' does not know the class frequencies in its training.")
    answers = list(_answers(Path(rows), info.class_names))
    if not answers:
        raise FERError(f"There are no faces in '{rows}'.")
    found = fit_prior(np.array(answers), np.array(learned))
    print(f"{len(answers):,} faces" + (": too few for a firm estimate" if len(answers) < 200 else ""))
    width = max(map(len, info.class_names))
    print(" " * width + "      assumed    here")
    for name, before, now in zip(info.class_names, learned, found, strict=True):
        print(f"{name:<{width}}  {before:>11.3f}  {now:>6.3f}")
    print(f"Use --class_prior '{json.dumps([round(float(value), 4) for value in found])}'")


def _answers(path: Path, class_names: tuple[str, ...]) -> Iterator[list[float]]:
    """The probabilities in the rows that are about a face."""
    if not path.is_file() or path.suffix not in (".csv", ".jsonl"):
        raise FERError(f"Invalid value for --rows. Expected a .csv or .jsonl file of rows. Received: {path}.")
    number, columns = 0, class_columns(class_names)
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as stream:
        try:
            given = csv.DictReader(stream) if path.suffix == ".csv" else map(json.loads, stream)
            for number, row in enumerate(given, 1):
                if not set(columns) <= set(row):
                    raise FERError(f"'{path}', row {number}: expected columns {', '.join(columns)}.")
                if row[columns[0]] not in (None, ""):
                    yield [float(row[name]) for name in columns]
        except (ValueError, TypeError) as error:
            raise FERError(f"'{path}' cannot be read after row {number}: {error}.") from None
