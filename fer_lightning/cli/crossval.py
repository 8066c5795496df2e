"""`crossval`: trainings on every fold, or with several seeds on the data's own split; or weights as they are."""

import hashlib
import json
import statistics
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fer_lightning.checkpoints.finding import find_checkpoint
from fer_lightning.cli.configs import layers, named_classes
from fer_lightning.cli.data_module import attributes_of
from fer_lightning.errors import FERError, check_range
from fer_lightning.evaluation.divisions import check_slices
from fer_lightning.evaluation.measures import MEASURES
from fer_lightning.evaluation.predictions import joined, read_predictions
from fer_lightning.files import check_output_folder, check_path, replace_text, sha256_of
from fer_lightning.names import check_name, printable
from fer_lightning.program import run_in_process
from fer_lightning.reports.evaluation import evaluate
from fer_lightning.reports.groups import WORDS
from fer_lightning.reports.page import filled, json_text
from fer_lightning.reports.provenance import how
from fer_lightning.screen import say
from fer_lightning.values import (
    ValuesError,
    number,
    plain_dict,
    read_json,
    read_text,
    text_of,
    texts_of,
)

_BEGUN = ("seed*/checkpoints/*.ckpt", "seed*/*/metrics.json")
_MOST_SEEDS = 1000
"""More would be trainings of years, which nobody means."""


def crossval(
    options: Sequence[str],
    name: str = "crossval",
    runs_dir: str = "runs",
    folds: int = 5,
    seeds: int = 1,
    subset: Literal["testing", "validation"] = "testing",
    slices: list[str] | str | None = None,
    ckpt_path: str | None = None,
) -> dict[str, Any]:
    """Train and test on every fold, or with every seed, each in a process of its own, and say mean and spread.

    With folds, there is one report over all images as well. Finished folds are not repeated and a begun one is resumed,
    so an interrupted cross-validation goes on where it was.

    Args:
        options: Further words for `fit`, as on the command line; they must not change while it is under way.
        name: Name of the cross-validation; its folds are the runs `<name>/seed<s>-fold<f>`, or `<name>/seed<s>`.
        runs_dir: Folder that holds the runs.
        folds: Number of folds. All images of a person are in one fold. 1 takes the data's own split, or that of
            --data.split, for every seed.
        seeds: Number of seeds, 1 or more: each trains and tests every fold anew.
        subset: What to measure on. `validation` is for choosing between settings: each fold's network is measured on
            the images that also chose its epoch and temperature, never on its testing subset; the same command without
            it tests the same trainings later. As an image of one fold's validation subset is tested in another, a
            choice by the mean over the folds makes that later test a little too good. There is no report over all
            images.
        slices: Columns of the legend, or other attributes, to slice the reports by; without it, all.
        ckpt_path: Weights that are measured on every fold as they are, without a training: `pretrained`, or a file.
            `options` are then those of `test`.

    Returns:
        What stands in `<runs_dir>/<name>/crossval.json`, or `crossval-validation.json`.

    Raises:
        FERError: If a fold fails, the options differ from those of the folds that are done, there is no such
            attribute to slice by, or no such file with weights.
    """
    check_range("--folds", folds, 1)
    check_range("--seeds", seeds, 1, _MOST_SEEDS)
    if folds == seeds == 1:
        raise FERError("--folds 1 is one training a seed. Expected --folds 2 or more, or --seeds 2 or more with it.")
    check_path("--runs_dir", runs_dir)
    if ckpt_path is not None:
        _check_weights(ckpt_path, folds, seeds)
    folder = check_output_folder("--name", Path(runs_dir) / check_name(name, "--name"), "options.json")
    if slices:
        check_slices(slices, attributes_of(options))
    settings = json.dumps([layer.settings for layer in layers(options, lambda line: None)[0]], default=str)
    files = f"settings {hashlib.sha256(settings.encode(errors='backslashreplace')).hexdigest()[:16]}"
    words = [*options, "--folds", str(folds)]
    if ckpt_path is not None:
        words += ["--ckpt_path", ckpt_path]
        files += f", weights {sha256_of(find_checkpoint(ckpt_path))[:16]}"
    _same_options(folder, words, files)
    if ckpt_path is not None:
        say(f"Measuring {printable(ckpt_path)} on {folds} folds; nothing is trained.")
    verb = "test" if subset == "testing" else "validate"
    done: list[dict[str, Any]] = []
    for seed in range(seeds):
        for fold in range(folds):
            chosen = ["--data.fold", str(fold), "--data.folds", str(folds)] if folds > 1 else []
            run = folder / _run(seed, fold, folds)
            done.append(_one_fold(run, [*options, *chosen], seed, verb, ckpt_path, slices))
            found = {name: row["value"] for name, row in done[-1]["metrics"].items()}
            if done[-1].get("subset", done[-1].get("part")) != subset:  # reports of version 0.1.0 said `part`
                raise FERError("--subset validation needs a validation subset: --data.val_fraction above 0.")
            shown = {name: "-" if found[name] is None else f"{found[name]:.4f}" for name in WORDS}
            said = ", ".join(f"{word} {shown[name]}" for name, word in WORDS.items())
            say(f"Seed {seed}: {said}" if folds == 1 else f"Fold {fold + 1} of {folds}, seed {seed}: {said}")
    content = {
        "folds": folds,
        "seeds": seeds,
        "metrics": {measure: _spread([fold["metrics"][measure]["value"] for fold in done]) for measure in MEASURES},
        "baseline": {m: _spread([fold["metrics"][m]["baseline"] for fold in done])["mean"] for m in MEASURES},
        "each": [
            {"run": _run(n // folds, n % folds, folds), "seed": n // folds, "fold": n % folds}
            | {"images": fold["images"], "metrics": fold["metrics"]}
            for n, fold in enumerate(done)
        ],
    }
    if subset == "testing" and folds > 1:
        _combined_report(folder, folds, content, slices)
    path = folder / ("crossval.json" if subset == "testing" else "crossval-validation.json")
    replace_text(path, json_text(content))
    print(filled("crossval.txt", content=content, measures=MEASURES, path=path), end="", flush=True)
    return content


def _check_weights(ckpt_path: str, folds: int, seeds: int) -> None:
    """An FERError where it makes no sense to measure these weights on every fold."""
    if ckpt_path in ("best", "last", "auto"):
        raise FERError(
            f"Invalid value for --ckpt_path. Expected weights that every fold can be measured with: pretrained, or a "
            f"file. Received: {ckpt_path}, which every fold has of its own."
        )
    if folds == 1 or seeds > 1:
        raise FERError("--ckpt_path measures the same weights on every fold: --folds 2 or more, and no --seeds.")


def _run(seed: int, fold: int, folds: int) -> str:
    return f"seed{seed}" if folds == 1 else f"seed{seed}-fold{fold}"


def _same_options(folder: Path, options: list[str], files: str) -> None:
    """Keep the options of a new cross-validation, or compare a begun one's; `files` is what their files say."""
    path, begun = folder / "options.json", any(chain.from_iterable(map(folder.glob, _BEGUN)))
    if path.exists():
        try:
            before = list(texts_of({"it": read_json(read_text(path))}, "it"))
        except (OSError, ValuesError) as error:
            raise FERError(
                f"'{path}' does not say the options of this cross-validation: {error}. Choose another --name, or "
                "delete that folder."
            ) from None
        if begun and before not in ([*options, files], options):  # earlier versions did not look into files
            said = printable(json.dumps(before))
            raise FERError(
                f"'{folder}' holds a cross-validation with other options, or other settings in its files: {said}. "
                "Choose another --name, or delete that folder."
            )
    replace_text(path, json.dumps([*options, files]) + "\n")


def _one_fold(
    run: Path, options: list[str], seed: int, verb: str, ckpt_path: str | None, slices: list[str] | str | None
) -> dict[str, Any]:
    """The report of a fold, which is trained and measured if it was not yet; `options` say the fold as well."""
    report = run / verb / "metrics.json"
    if not report.is_file():
        place = ["--name", run.name, "--runs_dir", str(run.parent)]
        if ckpt_path is not None:
            # How a checkpoint's own training was split is not said of these data.
            measured = ["--data.split", "grouped", *options, "--ckpt_path", ckpt_path]
        else:
            measured = ["--ckpt_path", "best", *_named_classes(options)]
            if not (run / "summary.json").is_file():
                resume = ["--ckpt_path", "last"] if (run / "checkpoints" / "last.ckpt").is_file() else []
                run_in_process(["fit", *options, "--seed_everything", str(seed), *place, *resume])
        sliced = [] if slices is None else ["--slices", json.dumps(slices)]
        run_in_process([verb, *place, *measured, *sliced])
    return _figures_of(report)


def _figures_of(report: Path) -> dict[str, Any]:
    """The report of a fold, with all the figures that are taken from it; an FERError if it is none."""
    try:
        content = plain_dict(read_json(read_text(report)), "it")
        figures = plain_dict(content.get("metrics"), "metrics")
        for measure in MEASURES:
            row = plain_dict(figures.get(measure), f"metrics.{measure}")
            for name in ("value", "baseline"):
                if row.get(name) is not None:
                    number(row[name], f"metrics.{measure}.{name}", -1e12, 1e12)
        text_of(content, "subset" if "subset" in content else "part")
        text_of(content, "image_dir", longest=4096)
        plain_dict(content.get("how"), "how")
        plain_dict(content.setdefault("split_options", {}), "split_options")
    except (OSError, ValuesError) as error:
        raise FERError(f"'{report}' cannot be used: {error}. Delete it, and that fold is measured again.") from None
    return content


def _named_classes(options: list[str]) -> list[str]:
    """What a test needs of the user's own classes: a checkpoint may name them where the user has named them."""
    return [word for path in sorted(named_classes(*layers(options, lambda line: None))) for word in ("--network", path)]


def _spread(values: list[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None]
    return {
        "mean": statistics.mean(known) if known else None,
        "sd": statistics.stdev(known) if len(known) > 1 else None,
        "lowest": min(known, default=None),
        "highest": max(known, default=None),
    }


def _combined_report(folder: Path, folds: int, content: dict[str, Any], slices: list[str] | str | None) -> None:
    """One report over the test images of all folds of the first seed, that is, over every image of the data set."""
    runs = [folder / f"seed0-fold{fold}" for fold in range(folds)]
    report = _figures_of(runs[0] / "test" / "metrics.json")
    split = report["split_options"].get("rule")
    several = [read_predictions(run / "test" / "predictions.csv") for run in runs]
    counts_of = Counter(chain.from_iterable(set(one.images) for one in several))
    if twice := next((image for image, count in counts_of.items() if count > 1), None):
        raise FERError(
            f"The folds in '{folder}' are not of one data set: '{printable(twice)}' is tested in two of them, so the "
            "data have changed meanwhile. Begin anew with another --name."
        )
    together = joined(several)
    counts = np.bincount(together.labels, minlength=len(together.class_names))
    print(f"\nAll folds together, seed 0{f' ({split} folds)' if split else ''}")
    about = {"subset": f"all {folds} folds'", "data": report.get("data"), "how": how(), "crossval": content}
    evaluate(together, counts / counts.sum(), Path(report["image_dir"]), folder / "test", about, slices=slices)
