"""The metadata before a model card (YAML front matter) by which model hubs list, filter and compare models."""

import re
from typing import Any

import yaml

from fer_lightning.checkpoints.hub import SCHEME
from fer_lightning.checkpoints.info import CheckpointInfo
from fer_lightning.evaluation.measures import MEASURES
from fer_lightning.names import one_line

LIBRARY = "fer_lightning"
"""What hubs know models of this package by."""

_TASK = {"type": "image-classification", "name": "Facial expression recognition"}
_TAGS = ["facial-expression-recognition", "emotion-recognition", "face"]
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]*")
"""What hubs take for the short name of a license, such as `apache-2.0`."""

_USUAL = {"macro_f1": "f1", "macro_auroc": "roc_auc", "nll": "log_loss", "brier": "brier_score"}
"""What hubs call measures that we name otherwise."""


def with_metadata(card: str, name: str, info: CheckpointInfo, license: str = "") -> str:
    """A model card in Markdown, with its metadata before it.

    Args:
        card: The card.
        name: What the model is called.
        info: What its file says about itself.
        license: Under which license the model is given away, best by its short name, such as `apache-2.0`; empty if
            nobody said.
    """
    found: dict[str, Any] = _license(license)
    if info.started_from.startswith(SCHEME):
        found["base_model"] = info.started_from.removeprefix(SCHEME).partition("@")[0]
    found |= {"library_name": LIBRARY, "pipeline_tag": _TASK["type"], "tags": _TAGS}
    if results := _results(info):
        found["metrics"] = [one["type"] for one in results["metrics"]]
        found["model-index"] = [{"name": one_line(name), "results": [results]}]
    text = yaml.dump(found, Dumper=_InFull, sort_keys=False, allow_unicode=True, width=10_000)
    return f"---\n{text}---\n\n{card}"


class _InFull(yaml.SafeDumper):
    """Writes what occurs twice as often as it occurs: not every reader of metadata follows references."""

    def ignore_aliases(self, data: Any) -> bool:
        """Nothing is a reference."""
        return True


def _license(given: str) -> dict[str, Any]:
    short = given.strip().lower()
    if not short:
        return {"license": "unknown"}
    return {"license": short} if _LICENSE.fullmatch(short) else {"license": "other", "license_name": one_line(given)}


def _results(info: CheckpointInfo) -> dict[str, Any]:
    """The figures of the last test; none where its images served for choosing too, which makes them too good."""
    found = info.measured
    if not found.get("metrics") or found.get("tuned_on_test"):
        return {}
    names = " + ".join(one_line(str(one)) for one in found.get("data") or ["not stated"])
    said = ("images", "people", "faces", "class_prior", "intervals")
    about = {name: found[name] for name in said if found.get(name) is not None}
    if command := (found.get("how") or {}).get("command"):
        about["command"] = command
    metrics = [
        {
            "type": _USUAL.get(name, name),
            "name": MEASURES[name].meaning if name in MEASURES else name,
            "value": round(row["value"], 4),
            "args": {key: round(row[key], 4) for key in ("low", "high", "baseline") if row.get(key) is not None},
        }
        for name, row in found["metrics"].items()
        if row["value"] is not None
    ]
    slug = re.sub(r"[^a-z0-9_-]+", "-", names.lower()).strip("-") or "not-stated"
    return {"task": _TASK, "dataset": {"type": slug, "name": names, "split": "test", "args": about}, "metrics": metrics}
