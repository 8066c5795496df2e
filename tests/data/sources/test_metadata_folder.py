"""Folders of images with metadata files, as Hugging Face has them."""

from __future__ import annotations

import csv
import json

import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from fer_lightning.data.legend import SUBSETS
from fer_lightning.data.legend_check import check_legend
from fer_lightning.data.sources.metadata_folder import MetadataFolder
from fer_lightning.errors import FERError

ROWS = [
    {"file_name": "a.png", "label": "angry", "age": 20},
    {"file_name": "b.png", "label": "happy", "age": None},
    {"file_name": "more/c.png", "label": "happy", "age": 40},
]


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    for row in rows:
        image = path.parent / row["file_name"]
        image.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4)).save(image)
    if path.suffix == ".csv":
        with open(path, "w", newline="") as stream:
            writer = csv.DictWriter(stream, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        parquet.write_table(pa.Table.from_pylist(rows), path)
    return path


def found(legend):
    labels = [legend.class_names[label] for label in legend.labels]
    parts = [None] * len(legend) if legend.declared is None else [SUBSETS[part] for part in legend.declared]
    return dict(zip(legend.images, zip(labels, parts, strict=True), strict=True))


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_one_file(workdir, ending):
    write(workdir / "faces" / f"metadata.{ending}", ROWS)
    assert MetadataFolder.fits(workdir / "faces")
    source = MetadataFolder("faces")
    legend = check_legend(source.read(), source)
    assert found(legend) == {
        "a.png": ("anger", None),
        "b.png": ("happiness", None),
        "more/c.png": ("happiness", None),
    }
    assert legend.attributes == {"age": ["20", "", "40"]}
    assert legend.format == f"an image folder of Hugging Face (metadata.{ending})"


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_one_for_each_part(workdir, ending):
    write(workdir / "faces" / "train" / f"metadata.{ending}", ROWS)
    write(workdir / "faces" / "test" / f"metadata.{ending}", [{"file_name": "a.png", "label": "happy", "view": "left"}])
    write(workdir / "faces" / ".cache" / f"metadata.{ending}", ROWS)
    assert MetadataFolder.fits(workdir / "faces")
    legend = MetadataFolder("faces").read()
    assert found(legend) == {
        "test/a.png": ("happiness", "testing"),
        "train/a.png": ("anger", "training"),
        "train/b.png": ("happiness", "training"),
        "train/more/c.png": ("happiness", "training"),
    }
    assert legend.attributes == {"view": ["left", "", "", ""], "age": ["", "20", "", "40"]}


def test_parts_by_column_and_by_folder(workdir):
    rows = [{**row, "split": split} for row, split in zip(ROWS, ("train", "dev", "test"), strict=True)]
    write(workdir / "one" / "metadata.csv", rows)
    assert [SUBSETS[part] for part in MetadataFolder("one").read().declared] == ["training", "validation", "testing"]
    pairs = (("train", "sad"), ("test", "happy"))
    rows = [{"file_name": f"{part}/{part}.png", "label": label} for part, label in pairs]
    write(workdir / "two" / "metadata.jsonl", rows)
    assert found(MetadataFolder("two").read()) == {
        "train/train.png": ("sadness", "training"),
        "test/test.png": ("happiness", "testing"),
    }


def test_damaged_ones(workdir):
    path = write(workdir / "faces" / "train" / "metadata.jsonl", ROWS)
    write(workdir / "faces" / "test" / "metadata.jsonl", ROWS)
    with open(path, "a") as stream:
        stream.write('{"file_name": "a.png", \n[1]\n{"label": "sad"}\n{"file_name": "d.png", "label": "sad"}\n')
    with pytest.raises(FERError) as error:
        MetadataFolder("faces").read()
    expected = 'expected an object such as {"file_name": "a.jpg", "label": "anger"}, found'
    said = str(error.value).splitlines()[:-1]
    assert said[0] == "4 problems in the legend:"
    assert said[1].startswith(f'  faces/train/metadata.jsonl:4: {expected} \'{{"file_name": "a.png",\' (')
    assert said[2:] == [
        f"  faces/train/metadata.jsonl:5: {expected} '[1]' (it is no object)",
        "  faces/train/metadata.jsonl:6: the field 'file_name' is empty",
        "  faces/train/metadata.jsonl:7: the image 'train/d.png' is not a file in 'faces'",
    ]
    assert len(MetadataFolder("faces", on_error="drop").read()) == 6


def test_what_is_not_it(workdir):
    write(workdir / "a" / "metadata.csv", [{"file_name": "a.png", "text": "a face"}])
    (workdir / "b").mkdir()
    (workdir / "b" / "metadata.jsonl").write_text("nothing")
    (workdir / "c").mkdir()
    (workdir / "c" / "metadata.parquet").write_text("PAR1")
    for name in ("a", "b", "c", "d", "a/metadata.csv"):
        assert not MetadataFolder.fits(workdir / name)
    with pytest.raises(FERError, match=r"--data.root. Expected a folder with metadata.csv, metadata.jsonl or m"):
        MetadataFolder("d").read()
    with pytest.raises(FERError, match=r"no column is known to be the label. Found: file_name, text"):
        MetadataFolder("a").read()


def test_numbers_have_names(tmp_path):
    for name in ("a.png", "b.png"):
        Image.new("L", (4, 4)).save(tmp_path / name)
    (tmp_path / "metadata.csv").write_text("file_name,label\na.png,0\nb.png,1\n")
    legend = MetadataFolder(str(tmp_path), label_names=["sad", "fear"]).read()
    assert [legend.class_names[label] for label in legend.labels] == ["sadness", "fear"]
