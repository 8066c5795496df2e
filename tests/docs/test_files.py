"""docs/reference/files.md names the columns and keys that real files have, no other, and in their order."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from safetensors import safe_open

from fer_lightning.data.legend import EXPRESSIONS
from tests.conftest import PROJECT, TINY, run_here

PAGE = (PROJECT / "docs" / "reference" / "files.md").read_text(encoding="utf-8")


def said_of(file: str) -> list[str]:
    """The names in the table of a file, with all classes instead of `CLASS`; `attribute:NAME` is left out."""
    _, found, rest = PAGE.partition(f"## `{file}`\n" if "`" not in file else file)
    assert found, file
    lines = re.findall(r"^\| (?:`([\w.:-]+)`|column|key|---) \|", re.split(r"\n##+ ", rest)[0], re.MULTILINE)
    names = [name for name in lines if name and name != "attribute:NAME"]
    place = names.index("CLASS") if "CLASS" in names else len(names)
    return names[:place] + list(EXPRESSIONS) * ("CLASS" in names) + names[place + 1 :]


def heading(path: Path) -> list[str]:
    with open(path, newline="", encoding="utf-8") as stream:
        return next(csv.reader(stream))


@pytest.fixture(scope="module")
def place(drawn, tmp_path_factory) -> Path:
    """A folder in which every verb that writes files has written some."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "faces").symlink_to(drawn)
    fit = ["fit", "--data.root", "faces", *TINY, "--trainer.max_epochs", "1", "--name", "mine"]
    run_here(*fit, cwd=folder)
    run_here("test", "--name", "mine", "--ckpt_path", "best", cwd=folder)
    predict = ["predict", "faces/images/person_000_00.png", "--workers", "0", "--faces", "whole"]
    for name in ("rows.csv", "rows.jsonl", "rows.parquet"):
        run_here(*predict, "--output", name, cwd=folder)
    predictions = ["--predictions", "[runs/mine/test/predictions.csv]"]
    run_here("audit", "--data.root", "faces", "--fail_on", "never", *predictions, cwd=folder)
    return folder


@pytest.mark.parametrize(
    ("file", "written"),
    [
        ("metrics.csv", "runs/mine/metrics.csv"),
        ("predictions.csv", "runs/mine/test/predictions.csv"),
        ("split.csv", "audit/split.csv"),
        ("findings.csv", "audit/findings.csv"),
        ("images.csv", "audit/images.csv"),
        ("duplicates.csv", "audit/duplicates.csv"),
        ("label_issues.csv", "audit/label_issues.csv"),
        ("## Rows of `predict`", "rows.csv"),
    ],
)
def test_the_columns_of_a_table(place, file, written):
    assert said_of(file) == heading(place / written)


@pytest.mark.parametrize(
    ("file", "written"), [("metrics.json", "runs/mine/test/metrics.json"), ("findings.json", "audit/findings.json")]
)
def test_the_keys_of_figures(place, file, written):
    assert said_of(file) == list(json.loads((place / written).read_text(encoding="utf-8")))


def test_rows_in_other_forms_have_the_same_columns(place):
    from pyarrow import parquet

    names = said_of("## Rows of `predict`")
    assert list(json.loads((place / "rows.jsonl").read_text().splitlines()[0])) == names
    schema = parquet.read_schema(place / "rows.parquet")
    assert schema.names == names
    assert b"fer_lightning" in schema.metadata


def test_what_is_in_a_runs_folder(place):
    named = set(
        re.findall(r"^\| `((?:checkpoints|test)/[\w.]+|[\w.]+\.[\w.*]+)` \|", PAGE.split("### `metrics.csv`")[0], re.M)
    )
    found = {path.relative_to(place / "runs/mine").as_posix() for path in (place / "runs/mine").rglob("*.*")}
    found = {"events.out.tfevents.*" if name.startswith("events.") else name for name in found}
    assert found == named
    assert {path.name for path in (place / "audit").iterdir()} == set(
        re.findall(
            r"^\| `([\w.]+)` \| (?=the report|the same|a row|as above|images that|with)",
            PAGE.split("## What `audit`")[1],
            re.M,
        )
    )


def test_prepared_data_and_the_split_that_can_be_taken_elsewhere(place):
    (tree,) = (path.parent for path in (place / "prepared_data").glob("*/split.json"))
    assert sorted(path.name for path in tree.iterdir() if path.is_dir()) == ["testing", "training", "validation"]
    assert heading(tree / "split.csv") == said_of("split.csv")
    words = ["--data.legend", tree / "split.csv", "--data.images", "faces/images", "--data.split", "predefined"]
    run_here("fit", *words, *TINY, "--trainer.max_epochs", "1", "--name", "again", cwd=place)
    assert len(list((place / "prepared_data").glob("*/split.json"))) == 1  # the same split: its folders were found


def test_the_settings_shown_are_settings(place):
    (shown,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    settings = yaml.safe_load(shown)
    settings["data"]["root"], settings["trainer"]["max_epochs"] = "faces", 1
    (place / "mine.yaml").write_text(yaml.safe_dump(settings))
    run_here("fit", "--config", "mine.yaml", *TINY[:2], "--name", "shown", cwd=place)
    with safe_open(PROJECT / "fer_lightning/weights/pretrained.safetensors", "pt") as file:
        assert set(file.metadata()) == {"fer_lightning"}


def test_the_keys_of_a_bundle():
    from fer_lightning.checkpoints.finding import PRETRAINED
    from fer_lightning.checkpoints.reading import read_checkpoint
    from fer_lightning.export.about import about_bundle

    info, _ = read_checkpoint(PRETRAINED)
    info = replace(info, input_spec=replace(info.input_spec, align=True))
    assert said_of("model.json") == list(about_bundle(info, info.learned_prior, "app"))
