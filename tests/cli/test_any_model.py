"""`test` measures answers of any model as it measures its own; `compare` puts them side by side."""

from __future__ import annotations

import csv
import json
import shutil

import pytest

from fer_lightning.evaluation.predictions import read_predictions
from tests.conftest import TINY, flat, run_here

MODEL = """
import json
known = json.load(open("known.json"))
def predict(paths):
    return [known[path.rpartition("/")[2]] for path in paths]
def labels(paths):
    return [max(one, key=one.get) for one in predict(paths)]
def broken(paths):
    return [1 / 0]
def short(paths):
    return []
def numbers(paths):
    return [[0.5, 0.5]] * len(paths)
"""


@pytest.fixture(scope="module")
def place(drawn, tmp_path_factory):
    """A folder with a tested run, `ours`, and its answers as a stranger would have them."""
    folder = tmp_path_factory.mktemp("any_model")
    words = ["--data.root", str(drawn), *TINY, "--trainer.max_epochs", "1", "--name", "ours"]
    run_here("fit", *words, cwd=folder)
    run_here("test", "--name", "ours", "--ckpt_path", "best", cwd=folder)
    rows = list(csv.DictReader((folder / "runs/ours/test/predictions.csv").open()))
    names = {"anger": "angry", "happiness": "happy", "sadness": "sad"}
    classes = [name for name in rows[0] if name in ("contempt", "disgust", "fear", "neutral", "surprise", *names)]
    with (folder / "rows.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", *(names.get(name, name) for name in reversed(classes))])
        for row in reversed(rows):
            writer.writerow([row["image"], *(100 * float(row[name]) for name in reversed(classes))])
    with (folder / "labels.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("image", "predicted"), *((row["image"], row["predicted"]) for row in rows)])
    known = {row["image"]: {name: float(row[name]) for name in classes} for row in rows}
    (folder / "known.json").write_text(json.dumps(known))
    (folder / "own_model.py").write_text(MODEL)
    return folder


def figures(folder, name):
    return json.loads((folder / "runs" / name / "test" / "metrics.json").read_text())


@pytest.mark.parametrize("words", [["--predictions", "rows.csv"], ["--callable", "own_model.predict"]])
def test_the_same_answers_have_the_same_report(words, place, drawn, capsys):
    run_here("test", *words, "--data.root", drawn, "--name", "other", cwd=place)
    ours, other = figures(place, "ours"), figures(place, "other")
    for name, row in ours["metrics"].items():
        for part in ("value", "low", "high", "baseline"):
            assert other["metrics"][name][part] == pytest.approx(row[part], abs=1e-6), name
    assert other["confusion"] == ours["confusion"]
    assert other["split"] == ours["split"]
    assert other["answers"] == words[1]
    assert "checkpoint" not in other
    assert not (place / "runs" / "other" / "model_card.md").exists()
    capsys.readouterr()
    run_here("compare", "ours", "other", cwd=place)
    assert "A 0, B 0" in capsys.readouterr().out
    shutil.rmtree(place / "runs" / "other")


@pytest.mark.parametrize("words", [["--predictions", "labels.csv"], ["--callable", "own_model.labels"]])
def test_labels_alone_have_the_measures_that_need_no_probabilities(words, place, drawn, capsys):
    run_here("test", *words, "--data.root", drawn, cwd=place)
    name = "labels" if words[0] == "--predictions" else "own_model.labels"
    ours, other = figures(place, "ours")["metrics"], figures(place, name)["metrics"]
    for measure in ("accuracy", "balanced_accuracy", "macro_f1", "cohen_kappa"):
        assert other[measure]["value"] == pytest.approx(ours[measure]["value"])
    for measure in ("nll", "brier", "ece", "macro_auroc", "macro_average_precision", "top2_accuracy"):
        assert other[measure]["value"] is None
        assert other[measure]["why"] == "there are no probabilities"
    assert "reliability diagram" not in (place / "runs" / name / "test" / "report.html").read_text()
    assert not read_predictions(place / "runs" / name / "test" / "predictions.csv").scored
    capsys.readouterr()
    run_here("compare", "ours", name, cwd=place)
    said = capsys.readouterr().out
    assert "undefined: there are no probabilities" in flat(said)
    assert "A 0, B 0" in said
    with pytest.raises(SystemExit):
        run_here("audit", "--data.root", drawn, "--predictions", f"[runs/{name}/test/predictions.csv]", cwd=place)
    assert "Expected probabilities" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--callable", "own_model.broken"], "ZeroDivisionError: division by zero (own_model.py, line 9)"),
        (["--callable", "own_model.short"], "returned 0 answers for 32 images"),
        (["--callable", "own_model.numbers"], "Expected a dict with the probability of each class"),
        (["--callable", "own_model.nothing"], "Cannot import 'own_model.nothing'"),
        (["--callable", "own_model.known"], "Expected a function"),
        (["--callable", "nowhere.predict"], "Cannot import 'nowhere.predict'"),
        (["--predictions", "none.csv"], "There is no file 'none.csv'"),
        (["--predictions", "rows.csv", "--callable", "own_model.predict"], "Expected one of --predictions and"),
        (["--predictions"], "expected one argument"),
        (["--predictions", "rows.csv", "--ckpt_path", "best"], "--ckpt_path is about networks of ours"),
        (["--predictions", "rows.csv", "--model.tta_flip", "true"], "--model.tta_flip is about networks of ours"),
        (["--predictions", "rows.csv", "--mising", "drop"], "Did you mean --missing?"),
        (["--predictions", "rows.csv", "--missing", "ignore"], "Expected error, drop or baseline"),
        (["--predictions", "rows.csv", "--slices", "[hair]"], "Received: 'hair'"),
        (["--predictions", "rows.csv", "--name", "ours"], "Choose another --name"),
    ],
)
def test_mistakes_are_one_message_and_leave_nothing(words, message, place, drawn, capsys):
    before = sorted((place / "runs").rglob("*"))
    with pytest.raises(SystemExit, match="2"):
        run_here("test", *words, "--data.root", drawn, cwd=place)
    said = flat(capsys.readouterr().err)
    assert message in said
    assert "Traceback" not in said
    assert sorted((place / "runs").rglob("*")) == before


def test_a_recipe_says_where_the_data_are_and_validate_measures_the_validation_subset(place, drawn):
    (place / "mine.yaml").write_text(f"data: {{root: {drawn}}}\nmodel: {{ema_decay: 0.9}}\n")
    words = ["--predictions", "all.csv", "--config", "mine.yaml"]
    images = sorted(path.name for path in (drawn / "images").iterdir())
    (place / "all.csv").write_text("image,predicted\n" + "".join(f"{name},happy\n" for name in images))
    run_here("validate", *words, cwd=place)
    content = json.loads((place / "runs/all/validate/metrics.json").read_text())
    assert content["subset"] == "validation"
    assert content["images"] == 16
    assert content["metrics"]["accuracy"]["value"] == pytest.approx(1 / 8)
