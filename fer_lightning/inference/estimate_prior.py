"""`estimate_prior`: how frequent the classes are in images whose labels nobody knows."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fer_lightning.checkpoints.fields import class_names, prior
from fer_lightning.checkpoints.finding import DEFAULT_RUN, find_checkpoint
from fer_lightning.errors import FERError
from fer_lightning.inference.model import info_of_file, trained_prior
from fer_lightning.names import cell, of_cell, printable
from fer_lightning.screen import say
from fer_lightning.values import ValuesError, plain_dict, read_json, read_text, shown


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
        before, prior = prior, (answers / answers.sum(1, keepdims=True).clip(1e-30)).mean(0)
        if np.abs(prior - before).max() < 1e-6:
            break
    return prior


def estimate_prior(rows: str, ckpt_path: str | None = None) -> None:
    """Estimate how frequent the classes are in images without labels, from the rows of predict or test.

    Args:
        rows: The .csv or .jsonl file, made without --class_prior.
        ckpt_path: What it was made with: pretrained, a checkpoint, or a file that `export` wrote. Without it, the
            frequencies that the file of settings beside the rows states; a model that it names is never opened.

    Raises:
        FERError: If the file cannot be used, or the model does not know the class frequencies in its training.
    """
    if not Path(rows).is_file() or Path(rows).suffix not in (".csv", ".jsonl"):
        raise FERError(f"Invalid value for --rows. Expected a .csv or .jsonl file of rows. Received: {rows}.")
    beside = Path(f"{rows}.settings.json")  # of predict, or the figures of test
    if Path(rows).name == "predictions.csv" and not beside.is_file():
        beside = beside.with_name("metrics.json")
    try:
        made = read_json(read_text(beside))
        made = made if isinstance(made, dict) else {}
    except (OSError, ValuesError):
        made = {}
    assumed = _of_model(rows, ckpt_path, made) if ckpt_path else _stated(rows, beside, made)
    answers = list(_answers(Path(rows), tuple(assumed)))
    if not answers:
        raise FERError(f"There are no faces in '{rows}'.")
    learned = np.array(list(assumed.values()))
    found = fit_prior(np.array(answers)[:, learned > 0], learned[learned > 0])
    here = dict.fromkeys(assumed, 0.0) | dict(zip([name for name in assumed if assumed[name]], found, strict=True))
    print(f"{len(answers):,} faces" + (": too few for a firm estimate" if len(answers) < 200 else ""))
    width = max(map(len, assumed))
    print(" " * width + "      assumed    here")
    for name, before in assumed.items():
        print(f"{printable(name):<{width}}  {before:>11.3f}  {here[name]:>6.3f}")
    say(f"Use --class_prior '{json.dumps([round(float(value), 4) for value in here.values()])}'")


def _of_model(rows: str, ckpt_path: str, made: dict[str, Any]) -> dict[str, float]:
    """The class frequencies that the answers of a model are for."""
    info = info_of_file(find_checkpoint(ckpt_path, DEFAULT_RUN))
    usual = info.class_prior if "checkpoint" in made else "training"  # test knows the former, predict the latter
    if made.get("class_prior", usual) != usual:
        raise FERError(f"'{rows}' was made for another class prior already: make it again without a class_prior.")
    if not (learned := trained_prior(info)):
        raise FERError(f"'{ckpt_path}' does not know the class frequencies in its training.")
    return dict(zip(info.class_names, learned, strict=True))


def _stated(rows: str, beside: Path, made: dict[str, Any]) -> dict[str, float]:
    """The class frequencies that rows are for, as the file beside them says."""
    if made.get("effective_prior") is None:
        raise FERError(f"Nothing beside '{rows}' says what made it: name it with --ckpt_path.")
    try:
        stated = plain_dict(made["effective_prior"], "effective_prior")
        names = class_names({"class_names": list(stated)})
        values = prior({"effective_prior": list(stated.values())}, "effective_prior", len(names))
    except ValuesError as error:
        raise FERError(f"'{beside}' cannot be used: {error}. Name the model with --ckpt_path.") from None
    return dict(zip(names, values, strict=True))


def _answers(path: Path, class_names: tuple[str, ...]) -> Iterator[list[float]]:
    """The probabilities in the rows that are about a face."""
    number = 0
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as stream:
        try:
            given = csv.DictReader(stream) if path.suffix == ".csv" else map(json.loads, stream)
            for number, row in enumerate(given, 1):
                there = {of_cell(heading) for heading in row if isinstance(heading, str)}
                columns = [f"class:{name}" if f"class:{name}" in there else name for name in class_names]
                if not set(columns) <= there:
                    raise FERError(f"'{path}', row {number}: expected columns {', '.join(columns)}.")
                columns = [name if name in row else cell(name) for name in columns]
                if row[columns[0]] not in (None, ""):
                    values = [_probability(row[name]) for name in columns]
                    if abs(sum(values) - 1) > 0.05:
                        raise ValueError(f"its probabilities add up to {sum(values):.3g}")
                    yield values
        except (ValueError, TypeError, RecursionError, csv.Error) as error:
            raise FERError(f"'{path}' cannot be read after row {number}: {error}.") from None


def _probability(text: Any) -> float:
    value = float(text)
    if not 0 <= value <= 1.0001:
        raise ValueError(f"expected a probability, found {shown(text)}")
    return value
