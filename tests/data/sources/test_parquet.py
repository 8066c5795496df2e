"""Parquet files with images, as data sets on Hugging Face are."""

from __future__ import annotations

import io
import json
import sys

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from fer_lightning.data.legend import SUBSETS
from fer_lightning.data.legend_check import check_legend
from fer_lightning.data.sources.parquet import Parquet
from fer_lightning.errors import FERError

NAMES = ["angry", "happy", "sad"]


def encoded(value, kind="PNG"):
    stream = io.BytesIO()
    Image.new("L", (6, 4), value).save(stream, kind)
    return stream.getvalue()


def write(path, columns, names=None, **options):
    """`columns`: values by heading; `names`: of the classes of the column `label`, as Hugging Face writes them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns)
    if names:
        features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    parquet.write_table(table, path, **options)
    return path


def images(*values, kind="PNG", paths=True):
    return [{"bytes": encoded(v, kind), "path": f"person{v}_{v:04d}.png" if paths else None} for v in values]


def found(legend):
    return {
        name: (legend.class_names[label], SUBSETS[part] if legend.declared is not None else None)
        for name, label, part in zip(
            legend.images,
            legend.labels,
            legend.declared if legend.declared is not None else [0] * len(legend),
            strict=True,
        )
    }


def test_a_data_set_of_hugging_face(workdir):
    root = workdir / "faces"
    write(root / "data" / "train-00000-of-00002.parquet", {"image": images(1, 2), "label": [0, 1]}, NAMES)
    write(root / "data" / "train-00001-of-00002.parquet", {"image": images(3, 4), "label": [2, -1]}, NAMES)
    write(root / "data" / "test-00000-of-00001.parquet", {"image": images(1), "label": [1]}, NAMES)
    assert Parquet.fits(root)
    source = Parquet(str(root))
    legend = check_legend(source.read(), source)
    assert found(legend) == {
        "testing/person1_0001.png": ("happiness", "testing"),
        "training/person1_0001.png": ("anger", "training"),
        "training/person2_0002.png": ("happiness", "training"),
        "training/person3_0003.png": ("sadness", "training"),
    }
    assert (legend.image_dir / "training" / "person2_0002.png").read_bytes() == encoded(2)
    assert (source.name, source.class_names, legend.identities) == ("faces", None, None)
    assert legend.format == "Parquet (3 files, such as data/test-00000-of-00001.parquet)"
    assert legend.notes[0] == "Left out: 1 row without a label."
    times = {path: path.stat().st_mtime_ns for path in legend.image_dir.rglob("*.png")}
    assert Parquet(str(root)).read().images == legend.images
    assert {path: path.stat().st_mtime_ns for path in legend.image_dir.rglob("*.png")} == times


def test_the_layout_of_converted_data_sets_and_names_of_readme(workdir):
    for part, value in (("train", 0), ("validation", 1)):
        write(workdir / "set" / "default" / part / "0000.parquet", {"image": images(value, 9), "label": [value, 2]})
    for name in ("set/.cache/train/0000.parquet", "set/default/train/._0000.parquet", "set/__MACOSX/0000.parquet"):
        (workdir / name).parent.mkdir(parents=True, exist_ok=True)
        (workdir / name).write_text("")
    (workdir / "set" / "README.md").write_text(
        """---
dataset_info:
  features:
  - name: image
    dtype: image
  - name: label
    dtype:
      class_label:
        names:
          '0': angry
          '1': happy
          '2': sad
---
# Faces
"""
    )
    assert found(Parquet("set").read()) == {
        "training/person0_0000.png": ("anger", "training"),
        "training/person9_0009.png": ("sadness", "training"),
        "validation/person1_0001.png": ("happiness", "validation"),
        "validation/person9_0009.png": ("sadness", "validation"),
    }
    write(workdir / "set" / "small" / "train" / "0000.parquet", {"image": images(1), "label": [1]})
    with pytest.raises(FERError, match=r"has several data sets of Parquet files: set/default, set/small. Choose one"):
        Parquet("set").read()


def test_bytes_alone_other_formats_and_further_columns(workdir):
    path = write(
        workdir / "all.parquet",
        {
            "picture": [encoded(value, kind) for value, kind in enumerate(("JPEG", "WEBP", "BMP", "TIFF", "GIF"))],
            "emotion": ["Anger", "fear", "fear", "anger", "joy"],
            "split": ["train", "val", "test", "train", "test"],
            "subject": ["ann", "ben", "ann", "cid", "ben"],
            "age": [20, 30, None, 40, 50],
            "caption": ["x" * 300] * 5,
            "boxes": [[1, 2]] * 5,
            "__index_level_0__": [0, 1, 2, 3, 4],
        },
    )
    assert Parquet.fits(path)
    legend = Parquet("all.parquet").read()
    assert found(legend) == {
        "all-000001.jpg": ("anger", "training"),
        "all-000002.webp": ("fear", "validation"),
        "all-000003.bmp": ("fear", "testing"),
        "all-000004.tif": ("anger", "training"),
        "all-000005.gif": ("happiness", "testing"),
    }
    assert legend.identities == ["ann", "ben", "ann", "cid", "ben"]
    assert legend.attributes == {"age": ["20", "30", "", "40", "50"]}
    for name in legend.images:
        with Image.open(legend.image_dir / name) as image:
            assert image.size == (6, 4)


def test_paths_instead_of_bytes(workdir):
    for name in ("a.png", "b.png"):
        (workdir / "set").mkdir(exist_ok=True)
        Image.new("L", (4, 4)).save(workdir / "set" / name)
    write(workdir / "set" / "train.parquet", {"image": ["a.png"], "label": [0], "view": ["left"]}, NAMES)
    write(workdir / "set" / "test.parquet", {"image": ["b.png"], "label": [1], "view": [None]}, NAMES)
    legend = Parquet("set").read()
    assert found(legend) == {"b.png": ("happiness", "testing"), "a.png": ("anger", "training")}
    assert legend.attributes == {"view": ["", "left"]}
    assert str(legend.image_dir) == "set"
    assert not (workdir / "prepared_data").exists()
    write(workdir / "set" / "test.parquet", {"image": ["c.png", "b.png"], "label": [1, 7], "view": ["", ""]}, NAMES)
    with pytest.raises(FERError) as error:
        Parquet("set").read()
    assert str(error.value).splitlines()[:-1] == [
        "2 problems in the legend:",
        "  set/test.parquet:1: the image 'c.png' is not a file in 'set'",
        "  set/test.parquet:2: unknown label 7; expected 0 to 2: angry, happy, sad",
    ]


def test_damaged_rows_are_listed(workdir):
    rows = [*images(1, 2), {"bytes": None, "path": "x.png"}, {"bytes": b"text", "path": None}, None, *images(3)]
    write(workdir / "a.parquet", {"image": rows, "label": [0, 1, 2, 0, 1, 3]}, NAMES)
    for _ in range(2):
        with pytest.raises(FERError) as error:
            Parquet("a.parquet").read()
        assert str(error.value).splitlines()[:-1] == [
            "4 problems in the legend:",
            "  a.parquet:3: the image has no bytes, only the path 'x.png'",
            "  a.parquet:4: the 4 bytes of the image are of no format that is known",
            "  a.parquet:5: there is no image",
            "  a.parquet:6: unknown label 3; expected 0 to 2: angry, happy, sad",
        ]
    assert len(Parquet("a.parquet", on_error="drop").read()) == 2


def test_numbers_without_names(workdir):
    write(workdir / "a.parquet", {"image": images(1, 2), "label": [0, 1]})
    with pytest.raises(FERError, match=r"the labels are numbers, 0, 1, and what they mean is not known"):
        Parquet("a.parquet").read()
    assert found(Parquet("a.parquet", classes=["sad", "happy"]).read()) == {
        "person1_0001.png": ("sad", None),
        "person2_0002.png": ("happy", None),
    }


def test_files_that_cannot_be_read(workdir, monkeypatch):
    noise = np.random.default_rng(0).bytes(100_000)
    large = [encoded(number) + noise[500 * number : 500 * number + 500] for number in range(200)]
    columns = {"image": large, "label": [0, 1] * 100}
    path = write(workdir / "train.parquet", columns, NAMES, row_group_size=50)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    assert Parquet.fits(path)
    with pytest.raises(FERError, match=r"^Cannot read 'train.parquet' as Parquet: .* Is it complete\?$"):
        Parquet("train.parquet").read()
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + bytes(30_000) + whole[middle + 30_000 :])
    with pytest.raises(FERError, match=r"^Cannot read 'train.parquet' as Parquet after \d+ rows: .* Is it complete\?$"):
        Parquet("train.parquet").read()
    assert not [one for one in (workdir / "prepared_data").iterdir() if one.is_dir()]
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:44dc\nsize 148053\n")
    assert Parquet.fits(path)
    with pytest.raises(FERError, match=r"'train.parquet' only says where Git LFS has the file. Fetch it: git lfs pull"):
        Parquet("train.parquet").read()
    write(path, {"image": images(1), "text": ["a"]})
    with pytest.raises(FERError, match=r"train.parquet: no column is known to be the label. Found: image, text"):
        Parquet("train.parquet").read()
    write(path, {"image": images(1), "label": ["a"]})
    write(workdir / "test.parquet", {"image": images(1)})
    with pytest.raises(FERError, match=r"'test.parquet' does not have the column label, which 'train"):
        Parquet(".").read()
    for nothing in (workdir / "none", workdir / "prepared_data"):
        assert not Parquet.fits(nothing)
    with pytest.raises(FERError, match=r"--data.root. Expected a Parquet file, or a folder with some"):
        Parquet("none").read()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(FERError, match=r"which needs pyarrow: pip install 'fer_lightning\[parquet\]'"):
        Parquet("train.parquet").read()


def test_numbers_mean_what_was_said_and_nothing_else(workdir):
    path = write(workdir / "x.parquet", {"image": images(1, 2), "label": [0, 2]})
    eight = ["anger", "contempt", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"]
    legend = Parquet(str(path), classes=eight, label_names=["sad", "x", "happy"]).read()
    assert [label for label, _ in found(legend).values()] == ["sadness", "happiness"]
    with pytest.raises(FERError, match="the labels are numbers, 0, 2, and what they mean is not known"):
        Parquet(str(path), classes=eight, label_names=[]).read()


def test_who_labelled_is_kept_and_what_is_too_long_is_said(workdir):
    columns = {"image": images(1, 2), "label": ["sad", "fear"], "annotator": ["eve", "ann"], "text": ["x" * 200, "y"]}
    legend = Parquet(str(write(workdir / "x.parquet", columns))).read()
    assert legend.users == ["eve", "ann"]
    assert legend.attributes == {}
    assert "Not kept, as cells are longer than 100 characters: text." in legend.notes
