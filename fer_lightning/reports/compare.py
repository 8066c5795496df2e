"""`compare`: which of several runs is better on the same test images, and is the difference more than luck?"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fer_lightning.errors import FERError
from fer_lightning.evaluation.bootstrap import described
from fer_lightning.evaluation.compare import compared
from fer_lightning.evaluation.measures import MEASURES
from fer_lightning.evaluation.predictions import Predictions, read_predictions
from fer_lightning.files import check_output, replace_text
from fer_lightning.reports.page import filled, json_text, without_nan


def compare(
    runs: Sequence[str], runs_dir: str = "runs", output: str | None = None, overwrite: bool = False
) -> dict[str, Any]:
    """Compare runs with the first one on the same test images.

    Args:
        runs: Two or more runs that were tested: names, or paths of their folders.
        runs_dir: Folder that holds the runs.
        output: JSON file for the figures.
        overwrite: Replace that file if it is there already.

    Returns:
        For each run after the first: every measure of both, the difference with its 95 % interval from a bootstrap that
        redraws the same people for both (None with one person only), and the p-value of McNemar's exact test.

    Raises:
        FERError: If a run is named twice or was not tested, the output is there already, or the runs were tested on
            different images, labels or classes.
    """
    if len(runs) < 2:
        raise FERError(f"compare needs two runs or more. Expected their names. Received: {list(runs)}.")
    folders: dict[Path, str] = {}
    for run in runs:
        folder = Path(runs_dir) / run if (Path(runs_dir) / run).is_dir() else Path(run)
        if (twin := folders.setdefault(folder.resolve(), run)) != run or runs.count(run) > 1:
            raise FERError(
                f"compare needs different runs. Received: '{twin}' and '{run}', which are both the folder "
                f"'{folder.resolve()}'. Name each run once."
            )
    files = [folder / "test" / "predictions.csv" for folder in folders]
    if output is not None:
        check_output("--output", output, files, overwrite)
    found = {run: _sorted(read_predictions(file)) for file, run in zip(files, folders.values(), strict=True)}
    first_name, first = next(iter(found.items()))
    several: dict[str, Any] = {first_name: {"metrics": first.measures.values()}}
    for name, other in list(found.items())[1:]:
        _check_same(first_name, first, name, other)
        several[name] = compared(first, other)
    about = {"first": first_name, "images": len(first.images), "intervals": described(first.identities)}
    content: dict[str, Any] = without_nan(about | {"runs": several})
    print(filled("compare.txt", content=content, measures=MEASURES), end="")
    if output is not None:
        replace_text(output, json_text(content))
    return content


def _sorted(predictions: Predictions) -> Predictions:
    keys = list(zip(predictions.images, predictions.labels.tolist(), strict=True))
    return predictions.take(sorted(range(len(keys)), key=keys.__getitem__))


def _check_same(first_name: str, first: Predictions, name: str, other: Predictions) -> None:
    if first.class_names != other.class_names:
        raise FERError(
            f"'{first_name}' and '{name}' have different classes: {', '.join(first.class_names)} and "
            f"{', '.join(other.class_names)}. Only runs with the same classes can be compared."
        )
    if first.images != other.images or first.labels.tolist() != other.labels.tolist():
        both = len(set(first.images) & set(other.images))
        raise FERError(
            f"'{first_name}' and '{name}' were not tested on the same images: {len(first.images)} and "
            f"{len(other.images)}, {both} of them in both. Give `test` the same --data options for both."
        )
