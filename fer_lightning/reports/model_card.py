"""The model card: what a model was trained on, how it was measured, what it must not be used for."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from fer_lightning.checkpoints.finding import digest_of
from fer_lightning.checkpoints.info import CheckpointInfo
from fer_lightning.evaluation.measures import MEASURES
from fer_lightning.program import program
from fer_lightning.reports.groups import gap_sentence
from fer_lightning.reports.page import fenced, filled

_MOST_GROUPS = 30
_KEPT = "images people intervals majority metrics tuned_on_test split how data faces class_prior worst_slice"


_OF_GROUPS = ("attribute", "value", "images", "people", "accuracy", "balanced_accuracy", "intervals")


def measured_in(run_dir: Path, checkpoint: str | os.PathLike[str]) -> dict[str, Any]:
    """The main figures of the last `test` of a run, for `CheckpointInfo.measured`; empty if it tested another file."""
    try:
        content = json.loads((run_dir / "test" / "metrics.json").read_text(encoding="utf-8"))
        return figures_of(content) if content["checkpoint_sha256"] == digest_of(checkpoint) else {}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):  # damaged, or changed by hand
        return {}


def figures_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """The main figures in the content of a report's metrics.json.

    Raises:
        Exception: Whatever Python raises where it is not that: LookupError, TypeError or AttributeError.
    """
    found = {name: content[name] for name in _KEPT.split() if content.get(name) is not None}
    found["recall"] = {
        name: {**figures["recall"], "support": figures["support"], "measurable": figures["measurable"]}
        for name, figures in content["classes"].items()
    }
    if content.get("gaps"):  # since 0.2.0
        compared = [one for one in content["slices"] if one["kind"] == "column" and one["measurable"]]
        found["groups"] = [{name: one[name] for name in _OF_GROUPS} for one in compared[:_MOST_GROUPS]]
        found["gaps"] = [gap_sentence(content["largest_gap"][measure]) for measure in ("accuracy", "balanced_accuracy")]
    return found


def must_not_be_used_for(card: str) -> str:
    """The section of a card that says so, in Markdown, without its heading."""
    return card.partition("## What it must not be used for")[2].partition("\n## ")[0].strip()


def model_card(name: str, info: CheckpointInfo, file: str = "", hub: bool = False) -> str:
    """The card of a model in Markdown.

    Args:
        name: What the model is called.
        info: What its checkpoint or exported file says about itself.
        file: What to add about the file, such as its format and size.
        hub: Whether it is the README.md of a folder for a model hub, which says how to use that.
    """
    counts = zip(info.class_names, info.training.class_counts if info.training else (), strict=False)
    config = info.settings
    kept = {key: config[key] for key in ("seed_everything", "model", "data", "trainer") if key in config}
    return filled(
        "model_card.md",
        name=name,
        info=info,
        file=file,
        hub=hub,
        program=program(),
        measures=MEASURES,
        training_images=[f"{label} {count:,}" for label, count in sorted(counts, key=lambda pair: -pair[1])],
        config=fenced(yaml.safe_dump(_without_empty(kept), sort_keys=False).rstrip(), "yaml") if "data" in kept else "",
    )


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_empty(item) for key, item in value.items() if item is not None}
    return value
