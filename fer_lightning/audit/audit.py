"""`audit`: run every check on a data set and say what was found."""

import contextlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from fer_lightning.audit import duplicates, files, label_issues, labels, shortcuts
from fer_lightning.audit.findings import SEVERITIES, DataSet, Finding
from fer_lightning.audit.writing import MARK, write_findings
from fer_lightning.data.combine import split_and_combine
from fer_lightning.data.identities import IDENTITY_PATTERN
from fer_lightning.data.image_metadata import read_metadata
from fer_lightning.data.input_spec import LARGEST
from fer_lightning.data.legend import Conflicts, Legend
from fer_lightning.data.legend_rows import normalised_classes
from fer_lightning.data.sources.recognise import chosen_sources
from fer_lightning.data.splits import Split, SplitRule
from fer_lightning.errors import FERError, check_range
from fer_lightning.evaluation.predictions import Predictions, joined, read_predictions
from fer_lightning.files import check_output_folder
from fer_lightning.program import run_in_process

CHECKS: list[Callable[[DataSet], Iterator[Finding]]] = [
    labels.rows,
    files.unlabelled,
    labels.classes,
    files.formats,
    labels.people,
    duplicates.check,
    files.colors,
    shortcuts.check,
    label_issues.check,
]
"""All checks, in the order in which findings of one severity are shown: a new one is a function and an entry here."""


_READING = ("images", "columns", "label_names", "conflicts", "follow_links", "prepared_dir")


class Audit(NamedTuple):
    """What an audit found, and whether that is enough to fail."""

    findings: list[Finding]
    failed: bool


@dataclass(frozen=True)
class DataOptions:
    """Where the data set is and how it would be split; the same names as in `fit`.

    Args:
        root: The data set, in any form that `fit` takes, or a list of several; without it, the embedded data set of
            synthetic faces.
        legend: The table, if it is elsewhere.
        images: The image folder, if it is elsewhere.
        columns: Headings by role, where a table has unusual ones.
        classes: The class list; without it, the labels found.
        label_names: What labels that are numbers mean, in their order; without it, the class list.
        conflicts: An image under two labels is an error, dropped, or kept under each.
        follow_links: Take links to files outside the image folder.
        prepared_dir: Where images are kept that are no files of their own, such as those in a table.
        split: The rule that `fit` would use.
        train_fraction: Fraction of the images for training and validation together.
        val_fraction: Fraction of the training subset that is taken for validation.
        split_seed: Draws another split.
        identity: Regular expression on the image name; its first group is who is in the image.
        image_size: Height and width in pixels of the network's input.
    """

    root: str | list[str] | None = None
    legend: str | None = None
    images: str | None = None
    columns: dict[str, str] | None = None
    classes: list[str] | None = None
    label_names: list[str] | None = None
    conflicts: Conflicts = "drop"
    follow_links: bool = False
    prepared_dir: str = "prepared_data"
    split: SplitRule | None = None
    train_fraction: float = 0.8
    val_fraction: float = 0.1
    split_seed: int = 0
    identity: str = IDENTITY_PATTERN
    image_size: int = 100


def audit(
    data: DataOptions,
    output: str = "audit",
    predictions: list[str] | None = None,
    ckpt_path: str | None = None,
    fail_on: Literal["serious", "warning", "never"] = "serious",
    overwrite: bool = False,
    network: list[str] | None = None,
) -> Audit:
    """Examine a data set before training: what is in it, what is wrong, what to do about it.

    Args:
        data: The data set.
        output: Folder for report.html, findings.json, findings.csv, images.csv, split.csv, duplicates.csv and
            label_issues.csv.
        predictions: predictions.csv files of `test` or, better, `crossval`, to find labels that are probably wrong.
        ckpt_path: A checkpoint trained on this data set, to find labels that are probably wrong among the images that
            it was not trained on (testing and validation).
        fail_on: End with exit status 1 if something this grave or graver was found.
        overwrite: Write into the folder though it has files that are not an audit's.
        network: Class paths of the network and of the classes in it, where the checkpoint names some of another package
            and you trust them.

    Raises:
        FERError: If there is no legend that can be read at all, the predictions are of other images or classes, or
            something would be lost in the folder for the report.
    """
    check_range("--data.image_size", data.image_size, 1, LARGEST)
    started = time.monotonic()
    classes = normalised_classes(data.classes) if data.classes is not None else None
    reading: dict[str, Any] = {name: getattr(data, name) for name in _READING}
    sources = chosen_sources(None, data.root, data.legend, reading | {"classes": classes, "on_error": "drop"})
    roots = [data.root] if isinstance(data.root, str) else data.root or []
    inputs = [*roots, data.legend, data.images, ckpt_path, *(predictions or ())]
    folder = check_output_folder("--output", output, MARK, [one for one in inputs if one is not None], overwrite)
    legends = [source.read() for source in sources]
    places = [place for one in legends for place in (one.path, one.image_dir)]
    check_output_folder("--output", output, MARK, places, overwrite)
    if len(legends) == 1 and classes is not None and classes != legends[0].class_names:
        legends = [legends[0].with_classes(classes)]
    splits, rule = _splits(legends, classes, data)
    legend = splits[rule].legend
    answers = [read_predictions(file) for file in predictions or ()]
    if not all(one.scored for one in answers):
        raise FERError("Invalid value for --predictions. Expected probabilities. One of the files has labels alone.")
    if ckpt_path is not None:
        answers += _of_checkpoint(ckpt_path, data, network or ())
    known = _of_legend(answers, legend) if answers else None
    metadata = read_metadata([legend.image_dir / image for image in legend.images])
    examined = DataSet(legend, splits, rule, metadata, data.image_size, known)
    findings = [finding for check in CHECKS for finding in check(examined)]
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    write_findings(folder, examined, findings, time.monotonic() - started)
    grave = SEVERITIES[: SEVERITIES.index(fail_on) + 1] if fail_on != "never" else ()
    return Audit(findings, any(finding.severity in grave for finding in findings))


def _splits(
    legends: Sequence[Legend], classes: Sequence[str] | None, data: DataOptions
) -> tuple[dict[str, Split], str]:
    """The split under every rule that the data sets allow, and the one that is chosen."""
    options: dict[str, Any] = {"train_fraction": data.train_fraction, "val_fraction": data.val_fraction}
    options |= {"seed": data.split_seed, "identity": data.identity}
    chosen = split_and_combine(legends, classes, data.split, **options)
    name = str(chosen.options["rule"])
    splits = {name: chosen}
    for rule in get_args(SplitRule):
        with contextlib.suppress(FERError):
            splits[rule] = splits.get(rule) or split_and_combine(legends, classes, rule, **options)
    return splits, name


def _of_checkpoint(ckpt_path: str, data: DataOptions, network: Sequence[str]) -> list[Predictions]:
    """What a checkpoint says about the images that it was not trained on."""
    with tempfile.TemporaryDirectory() as folder:
        place = ["--runs_dir", folder, "--name", "audit", *(word for one in network for word in ("--network", one))]
        for option in ("root", "legend", *_READING):
            if (value := getattr(data, option)) is not None:
                place += [f"--data.{option}", value if isinstance(value, str) else json.dumps(value)]
        reports = {}
        for verb in ("validate", "test"):
            run_in_process([verb, "--ckpt_path", ckpt_path, *place])
            report = Path(folder, "audit", verb)
            reports[json.loads((report / "metrics.json").read_text(encoding="utf-8"))["subset"]] = report
        return [read_predictions(report / "predictions.csv") for report in reports.values()]


def _of_legend(several: Sequence[Predictions], legend: Legend) -> Predictions:
    """Predictions with the legend's classes, of those images whose label is still the legend's."""
    names = legend.class_names
    if any(set(one.class_names) != set(names) for one in several):
        raise FERError(
            f"--predictions or --ckpt_path are of other classes than the legend. Expected {', '.join(names)}."
        )
    ordered = []
    for one in several:
        places = [one.class_names.index(name) for name in names]
        labels, probabilities = np.argsort(places)[one.labels], one.probabilities[:, places]
        ordered.append(replace(one, class_names=names, labels=labels, probabilities=probabilities))
    together = joined(ordered)
    there = set(zip(legend.images, legend.labels.tolist(), strict=True))
    found = zip(together.images, together.labels.tolist(), strict=True)
    known = [row for row, pair in enumerate(found) if pair in there]
    if not known:
        raise FERError(
            "--predictions or --ckpt_path are of other images or labels than the legend: none of them matches."
        )
    return together.take(known)
