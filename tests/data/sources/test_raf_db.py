"""RAF-DB as it is published, and in numbered folders."""

from __future__ import annotations

import pytest
from PIL import Image

from fer_lightning.data.legend import SUBSETS
from fer_lightning.data.legend_check import check_legend
from fer_lightning.data.sources.raf_db import RafDb
from fer_lightning.errors import FERError

LINES = [
    f"{part}_{number:05d}.jpg {label}" for part in ("train", "test") for number, label in enumerate(range(1, 8), 1)
]
LABELS = ["surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"]


def published(root, kinds=("aligned", "original"), lines=LINES):
    (root / "EmoLabel").mkdir(parents=True)
    (root / "EmoLabel" / "list_patition_label.txt").write_text("".join(f"{line}\n" for line in lines))
    for kind in kinds:
        (root / "Image" / kind).mkdir(parents=True)
        for line in LINES:
            name = line.split()[0].replace(".jpg", "_aligned.jpg" if kind == "aligned" else ".jpg")
            Image.new("L", (4, 4)).save(root / "Image" / kind / name)
    return root


def labels_of(legend):
    return [legend.class_names[label] for label in legend.labels]


def parts_of(legend):
    return [SUBSETS[part] for part in legend.declared]


@pytest.mark.parametrize("around", ["", "basic"])
def test_as_published(tmp_path, around):
    published(tmp_path / around)
    assert RafDb.fits(tmp_path)
    source = RafDb(str(tmp_path))
    legend = check_legend(source.read(), source)
    assert labels_of(legend) == LABELS * 2
    assert parts_of(legend) == ["training"] * 7 + ["testing"] * 7
    assert legend.images[0] == "train_00001_aligned.jpg"
    assert legend.class_names == source.class_names == tuple(sorted(LABELS))
    assert (legend.format, legend.attributes) == ("RAF-DB (list_patition_label.txt)", {})
    assert legend.notes[0].startswith("The images are the aligned ones")


def test_the_original_images_those_elsewhere_and_who_is_in_them(tmp_path):
    root = published(tmp_path / "raf", ["original"])
    (root / "Annotation" / "manual").mkdir(parents=True)
    places = "".join("100.5\t80\n" for _ in range(5))
    (root / "Annotation" / "manual" / "train_00001_manu_attri.txt").write_text(f"{places}1\n2\n3\n")
    (root / "Annotation" / "manual" / "train_00002_manu_attri.txt").write_text(f"{places}0\n0\n0\n")
    legend = RafDb(str(root)).read()
    assert legend.images[0] == "train_00001.jpg"
    assert {name: values[:3] for name, values in legend.attributes.items()} == {
        "gender": ["female", "male", ""],
        "race": ["Asian", "Caucasian", ""],
        "age": ["40-69", "0-3", ""],
    }
    (root / "Image").rename(tmp_path / "elsewhere")
    with pytest.raises(FERError, match=r"No image folder found: .*Image/aligned'. Name it with --data.images DIR"):
        RafDb(str(root)).read()
    for images in ("elsewhere", "elsewhere/original"):
        assert len(RafDb(str(root / "EmoLabel" / "list_patition_label.txt"), str(tmp_path / images)).read()) == 14


def test_numbered_folders(tmp_path):
    for line in LINES:
        name, label = line.replace(".jpg", "_aligned.jpg").split()
        folder = tmp_path / "DATASET" / name.split("_")[0] / label
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4)).save(folder / name)
    (tmp_path / "train_labels.csv").write_text("image,label\n")
    (tmp_path / "DATASET" / "test" / "7" / "readme.txt").write_text("")
    for name in ("test/7/Thumbs.db", "train/1/._train_00001_aligned.jpg", "train/.ipynb_checkpoints/1.jpg", "test/._7"):
        (tmp_path / "DATASET" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "DATASET" / name).write_text("")
    for root in (tmp_path, tmp_path / "DATASET"):
        assert RafDb.fits(root)
        legend = RafDb(str(root)).read()
        assert sorted(zip(parts_of(legend), labels_of(legend), strict=True)) == sorted(
            (part, label) for part in ("training", "testing") for label in LABELS
        )
        assert legend.format == "RAF-DB (numbered folders)"
        assert legend.notes == ("Left out: 1 file without an image.",)
    (tmp_path / "DATASET" / "test" / "8").mkdir()
    with pytest.raises(FERError, match=r"DATASET: the folder 'test/8' has an unknown number; expected one of 1 surp"):
        RafDb(str(tmp_path)).read()
    assert len(RafDb(str(tmp_path), on_error="drop").read()) == 14


def test_damaged_lines_are_listed(tmp_path):
    root = published(tmp_path, ["aligned"], [*LINES, "train_00001.jpg", "test_00001.jpg 8", "x.jpg 1", "test_9.jpg 1"])
    listed = root / "EmoLabel" / "list_patition_label.txt"
    with pytest.raises(FERError) as error:
        RafDb(str(root)).read()
    numbers = "1 surprise, 2 fear, 3 disgust, 4 happiness, 5 sadness, 6 anger, 7 neutral"
    assert str(error.value).splitlines()[:-1] == [
        "4 problems in the legend:",
        f"  {listed}:15: expected a name and a number such as 'train_00001.jpg 5', found 'train_00001.jpg'",
        f"  {listed}:16: unknown number '8'; expected one of {numbers}",
        f"  {listed}:17: the name 'x.jpg' begins with neither train_ nor test_",
        f"  {listed}:18: the image 'test_9_aligned.jpg' is not a file in '{root / 'Image' / 'aligned'}'",
    ]
    assert len(RafDb(str(root), on_error="drop").read()) == 14
    listed.write_text("\n")
    with pytest.raises(FERError, match="the file is empty"):
        RafDb(str(root)).read()
    assert not RafDb.fits(tmp_path / "Image")
    with pytest.raises(FERError, match=r"--data.root. Expected RAF-DB: .* Found neither at"):
        RafDb(str(tmp_path / "Image")).read()
