"""`audit`: run every check on a data set and write what was found."""

from __future__ import annotations

import csv
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fer_lightning.audit import file_checks, legend_checks
from fer_lightning.audit.duplicates import exact_duplicates, near_duplicates
from fer_lightning.audit.findings import Finding, many
from fer_lightning.audit.label_errors import LabelErrors, confident_learning
from fer_lightning.cli.crossval import run_in_process
from fer_lightning.data.image_metadata import ImageMetadata, read_metadata
from fer_lightning.data.legend import Legend, locate_legend
from fer_lightning.data.sources.legend_csv import inspect_legend
from fer_lightning.data.sources.synthetic import synthetic_faces
from fer_lightning.data.splits import IDENTITY_PATTERN, TESTING, Split, SplitRule, make_split
from fer_lightning.errors import FERError
from fer_lightning.evaluation.predictions import Predictions, read_predictions
from fer_lightning.reports.page import render, thumbnail

GALLERY = 40
_SHOWN = 20
_ORDER = ("serious", "warning", "info")


@dataclass(frozen=True)
class Audit:
    """What an audit found, and whether that is enough to fail."""

    findings: list[Finding]
    failed: bool


@dataclass(frozen=True)
class DataOptions:
    """Where the data set is and how it would be split; the same names as in `fit`.

    Args:
        root: Folder of the data set; without it, the embedded data set of drawn faces.
        legend: The legend file, if it is elsewhere.
        images: The image folder, if it is elsewhere.
        classes: The class list; without it, the labels found in the legend.
        split: The rule that `fit` would use.
        train_fraction: Share of the images for training and validation together.
        val_fraction: Share of the training part that is taken for validation.
        split_seed: Draws another split.
        identity: Regular expression on the image name; its first group is who is in the picture.
        image_size: Height and width in pixels of the network's input.
    """

    root: str | None = None
    legend: str | None = None
    images: str | None = None
    classes: list[str] | None = None
    split: SplitRule = "grouped"
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
) -> Audit:
    """Examine a data set before training: what is in it, what is wrong, what to do about it.

    Args:
        data: The data set.
        output: Folder for report.html, findings.json, findings.csv, images.csv and suspects.csv.
        predictions: predictions.csv files of `test` or, better, `crossval`, to find labels that are probably wrong.
        ckpt_path: A checkpoint trained on this data set, to find labels that are probably wrong among the images that
            it was not trained on (testing and validation).
        fail_on: End with exit status 1 if something this grave or graver was found.

    Raises:
        FERError: If there is no legend that can be read at all.
    """
    started = time.monotonic()
    root = synthetic_faces() if data.root is None and data.legend is None else Path(data.root or ".")
    path, image_dir = locate_legend(root, data.legend, data.images)
    legend, problems = inspect_legend(path, image_dir, data.classes)
    splits = _splits(legend, data)
    split = splits[data.split]
    facts = read_metadata([image_dir / image for image in legend.images])
    readable = [fact for fact in facts if not fact.error]
    exact, near = exact_duplicates(facts), near_duplicates(facts)
    findings = [
        *legend_checks.check_rows(legend, problems),
        *legend_checks.check_unlabelled(legend, image_dir),
        *legend_checks.check_classes(legend),
        *file_checks.check_files(legend, facts, data.image_size),
        *legend_checks.check_identities(splits, data.split),
        *legend_checks.check_parts(split),
        *file_checks.check_duplicates(split, exact, near),
        *file_checks.check_sources(legend, facts),
        *(file_checks.check_shortcuts(split, facts) if readable else []),
    ]
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    _write_duplicates(folder / "duplicates.csv", split, [*exact, *([one, other] for one, other, _ in near)])
    gallery: list[dict[str, str]] = []
    answers = [read_predictions(file) for file in predictions or ()]
    if ckpt_path is not None:
        answers += _of_checkpoint(ckpt_path, data.root)
    if answers:
        finding, gallery = _label_errors(answers, legend, image_dir, folder)
        findings.append(finding)
    findings.sort(key=lambda finding: _ORDER.index(finding.severity))
    _write(folder, findings, legend, split, facts, gallery, started)
    print(_summary(findings, legend), f"Written to {folder / 'report.html'}", sep="\n", flush=True)
    grave = _ORDER[: _ORDER.index(fail_on) + 1] if fail_on != "never" else ()
    return Audit(findings, any(finding.severity in grave for finding in findings))


def _splits(legend: Legend, data: DataOptions) -> dict[str, Split]:
    """The split under every rule that this legend allows."""
    rules: list[SplitRule] = ["sequential", "stratified", "grouped"]
    if legend.declared is not None:
        rules.append("predefined")
    splits = {}
    for rule in rules:
        try:
            splits[str(rule)] = make_split(
                legend, rule, data.train_fraction, data.val_fraction, data.split_seed, data.identity
            )
        except FERError:
            if rule == data.split:
                raise
    if data.split not in splits:
        raise FERError(f"--data.split {data.split} needs a column 'split' in {legend.path}; there is none.")
    return splits


def _of_checkpoint(ckpt_path: str, root: str | None) -> list[Predictions]:
    """What a checkpoint says about the images that it was not trained on."""
    with tempfile.TemporaryDirectory() as folder:
        place = ["--runs_dir", folder, "--name", "audit", *(["--data.root", root] if root else [])]
        for verb in ("validate", "test"):
            run_in_process([verb, "--ckpt_path", ckpt_path, *place])
        reports = {verb: Path(folder, "audit", verb) for verb in ("validate", "test")}
        parts = {json.loads((path / "metrics.json").read_text())["part"]: path for path in reports.values()}
        return [read_predictions(path / "predictions.csv") for path in parts.values()]


def _label_errors(
    answers: Sequence[Predictions], legend: Legend, image_dir: Path, folder: Path
) -> tuple[Finding, list[dict[str, str]]]:
    labels_now = {
        (image, legend.class_names[k]) for image, k in zip(legend.images, legend.labels.tolist(), strict=True)
    }
    names = legend.class_names
    if any(set(part.class_names) != set(names) for part in answers):
        raise FERError(f"--predictions are of other classes than the legend. Expected {', '.join(names)}.")
    images = [image for part in answers for image in part.images]
    labels = np.concatenate([np.array([names.index(part.class_names[k]) for k in part.labels]) for part in answers])
    columns = [[part.class_names.index(name) for name in names] for part in answers]
    shares = np.concatenate([part.probabilities[:, column] for part, column in zip(answers, columns, strict=True)])
    known = np.array([(image, names[k]) in labels_now for image, k in zip(images, labels.tolist(), strict=True)])
    images, labels, shares = [i for i, k in zip(images, known, strict=True) if k], labels[known], shares[known]
    if not images:
        raise FERError("--predictions are of other images or labels than the legend: none of them matches.")
    errors = confident_learning(labels, shares)
    _write_suspects(folder / "suspects.csv", errors, images, labels, names)
    gallery = [
        {
            "picture": thumbnail(image_dir / images[row]),
            "image": images[row],
            "label": names[labels[row]],
            "suggested": names[errors.suggested[row]],
            "suspicion": f"{errors.suspicion[row]:.2f}",
        }
        for row in errors.suspects[:GALLERY]
    ]
    doubtful = 1 - float(errors.joint.trace())
    pairs = [
        (float(errors.joint[a, b]), names[a], names[b]) for a in range(len(names)) for b in range(len(names)) if a != b
    ]
    finding = Finding(
        "label_errors",
        "warning",
        f"{many(len(errors.suspects), 'label')} of {len(images):,} are in doubt; confident learning puts the share of "
        f"wrong labels at {doubtful:.0%}.",
        "These images look like another class to networks that were not trained on them. Some are hard, not wrong: the "
        f"networks' own accuracy here is {(shares.argmax(1) == labels).mean():.1%}, and the weaker they are, the more "
        "the estimate is too high.",
        "Look at the gallery. Then give suspects.csv back to `fit`: --data.exclude leaves these images out of training "
        "and validation, --data.relabel takes the suggested labels there. The testing part is never changed.",
        ("label", "looks like", "estimated share of all images"),
        [(given, true, f"{share:.2%}") for share, given, true in sorted(pairs, reverse=True)[:12] if share > 0],
        {"suspects": len(errors.suspects), "estimated_error_rate": doubtful, "examined": len(images)},
    )
    return finding, gallery


def _write_duplicates(path: Path, split: Split, groups: Sequence[Sequence[int]]) -> None:
    """The copies to leave out: of each group one picture stays, the one in the testing part if there is one."""
    extra: set[int] = set()
    for group in groups:
        kept = max(group, key=lambda number: (split.parts[number] == TESTING, -number))
        extra |= {number for number in group if number != kept}
    with open(path, "w", newline="", encoding="utf-8", errors="backslashreplace") as stream:
        rows = csv.writer(stream)
        rows.writerow(["image"])
        rows.writerows([split.legend.images[number]] for number in sorted(extra))


def _write_suspects(
    path: Path, errors: LabelErrors, images: Sequence[str], labels: np.ndarray, names: Sequence[str]
) -> None:
    with open(path, "w", newline="", encoding="utf-8", errors="backslashreplace") as stream:
        rows = csv.writer(stream)
        rows.writerow(["image", "label", "suggested", "suspicion"])
        for row in errors.suspects.tolist():
            suggested = names[errors.suggested[row]]
            rows.writerow([images[row], names[labels[row]], suggested, f"{errors.suspicion[row]:.4f}"])


def _write(
    folder: Path,
    findings: Sequence[Finding],
    legend: Legend,
    split: Split,
    facts: Sequence[ImageMetadata],
    gallery: Sequence[dict[str, str]],
    started: float,
) -> None:
    with open(folder / "findings.csv", "w", newline="", encoding="utf-8", errors="backslashreplace") as stream:
        rows = csv.writer(stream)
        rows.writerow(["finding", "severity", "title", "detail"])
        for finding in findings:
            rows.writerow([finding.name, finding.severity, finding.title, ""])
            rows.writerows([finding.name, finding.severity, "", " | ".join(row)] for row in finding.rows)
    split.write_csv(folder / "split.csv")
    with open(folder / "images.csv", "w", newline="", encoding="utf-8", errors="backslashreplace") as stream:
        rows = csv.writer(stream)
        rows.writerow(
            ["image", "error", "format", "mode", "width", "height", "bytes", "colour", "progressive", "dhash"]
        )
        for image, fact in zip(legend.images, facts, strict=True):
            size = (fact.width, fact.height, fact.size)
            look = ("yes" if fact.colour else "no", "yes" if fact.progressive else "no", f"{fact.dhash:016x}")
            rows.writerow([image, fact.error, fact.format, fact.mode, *size, *look])
    content: dict[str, Any] = {
        "legend": str(legend.path.resolve()),
        "images": len(legend),
        "classes": list(legend.class_names),
        "seconds": round(time.monotonic() - started, 1),
        "findings": [asdict(finding) for finding in findings],
    }
    (folder / "findings.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    pictures = {finding.name: _pairs(finding, legend.image_dir) for finding in findings if "duplicates" in finding.name}
    render("audit.html", folder / "report.html", content=content, gallery=gallery, pictures=pictures, shown=_SHOWN)


def _pairs(finding: Finding, image_dir: Path) -> list[dict[str, Any]]:
    """Pictures of the first groups of duplicates."""
    return [
        {
            "images": [{"name": name, "picture": thumbnail(image_dir / name)} for name in row[0].split(" = ")[:4]],
            "note": "; ".join(part for part in (row[1], row[3]) if part),
        }
        for row in finding.rows[:12]
    ]


def _summary(findings: Sequence[Finding], legend: Legend) -> str:
    lines = [f"{legend.path}: {many(len(legend), 'image')}, {len(legend.class_names)} classes", ""]
    for finding in findings:
        lines.append(f"{finding.severity:<8} {finding.title}")
        if finding.severity != "info" and finding.remedy:
            lines.append(f"{'':<8} -> {finding.remedy}")
    counts = [f"{sum(finding.severity == severity for finding in findings)} {severity}" for severity in _ORDER]
    return "\n".join([*lines, "", ", ".join(counts)])
