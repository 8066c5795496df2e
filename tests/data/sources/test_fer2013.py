"""FER2013 in the forms that Kaggle has, and what becomes of its pixels."""

from __future__ import annotations

import csv
import os
import resource

import numpy as np
import pytest
from PIL import Image

from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.legend import SUBSETS
from fer_lightning.data.sources.fer2013 import SEVEN, Fer2013, face_of
from fer_lightning.errors import FERError

ROWS = [
    (0, 10, "Training"),
    (1, 20, "Training"),
    (2, 30, "Training"),
    (3, 40, "PublicTest"),
    (4, 50, "PublicTest"),
    (5, 60, "PrivateTest"),
    (6, 70, "PrivateTest"),
]
LABELS = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]


def pixels_of(fill):
    """The fill value everywhere, but for the first two of the first line: 1 and 2."""
    return " ".join(["1", "2", *[str(fill)] * (48 * 48 - 2)])


def table(path, rows=ROWS, columns=("emotion", "pixels", "Usage"), header=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as stream:
        stream.write((header or ",".join(columns)) + "\n")
        writer = csv.writer(stream)
        for emotion, fill, usage in rows:
            cells = {"emotion": emotion, "pixels": pixels_of(fill), "Usage": usage}
            writer.writerow([cells[column] for column in columns])
    return path


def labels_of(legend):
    return [legend.class_names[label] for label in legend.labels]


def parts_of(legend):
    return None if legend.declared is None else [SUBSETS[part] for part in legend.declared]


def test_labels_parts_and_pixels(workdir):
    source = Fer2013(str(table(workdir / "fer2013.csv")))
    assert source.class_names == SEVEN == tuple(sorted(LABELS))
    legend = source.read()
    assert labels_of(legend) == LABELS
    assert parts_of(legend) == ["training"] * 3 + ["validation"] * 2 + ["testing"] * 2
    assert (legend.format, legend.identities, legend.class_names) == ("FER2013 (fer2013.csv)", None, SEVEN)
    assert legend.images[0] == "fer0000000.png"
    with Image.open(legend.image_dir / legend.images[3]) as image:
        pixels = np.asarray(image)
    assert (pixels.shape, pixels.dtype) == ((48, 48), np.uint8)
    assert (pixels[0, 0], pixels[0, 1], pixels[1, 0]) == (1, 2, 40)
    assert (pixels.flatten()[2:] == 40).all()


def test_the_other_forms_and_where_they_are_found(workdir):
    spaced = table(
        workdir / "kaggle" / "icml_face_data.csv", ROWS, ("emotion", "Usage", "pixels"), "emotion, Usage, pixels"
    )
    assert Fer2013.fits(spaced)
    assert Fer2013.fits(workdir / "kaggle")
    assert parts_of(Fer2013(str(workdir / "kaggle")).read()) == ["training"] * 3 + ["validation"] * 2 + ["testing"] * 2
    table(workdir / "archive" / "fer2013" / "fer2013.csv")
    assert Fer2013.fits(workdir / "archive")
    assert labels_of(Fer2013(str(workdir / "archive")).read()) == LABELS
    table(workdir / "two" / "train.csv", ROWS[:4], ("emotion", "pixels"))
    assert parts_of(Fer2013(str(workdir / "two")).read()) is None
    table(workdir / "two" / "test.csv", ROWS[4:], ("emotion", "pixels"))
    legend = Fer2013(str(workdir / "two")).read()
    assert (labels_of(legend), parts_of(legend)) == (LABELS, ["training"] * 4 + ["testing"] * 3)
    table(workdir / "two" / "test.csv", ROWS[4:], ("pixels",))
    legend = Fer2013(str(workdir / "two")).read()
    assert (labels_of(legend), parts_of(legend)) == (LABELS[:4], None)
    assert legend.notes[0] == "test.csv has no column emotion and is left out."


def test_what_is_not_it(workdir):
    (workdir / "other.csv").write_text("image,emotion\na.png,anger\n")
    os.mkfifo(workdir / "fer2013.csv")
    for path in (workdir, workdir / "other.csv", workdir / "none", workdir / "fer2013.csv"):
        assert not Fer2013.fits(path)
    with pytest.raises(FERError, match=r"--data.root. Expected FER2013: .* Found none at 'none'"):
        Fer2013("none").read()


def test_damaged_rows_are_listed_with_their_lines_and_left_out_if_wanted(workdir):
    lines = table(workdir / "fer2013.csv").read_text().splitlines()
    lines[1] = lines[1].replace("10 10 ", "10 ", 1)
    lines[2] = "7" + lines[2][1:]
    lines[3] = lines[3].replace("30 30", "30 256", 1)
    lines[4] = lines[4].replace("PublicTest", "Public")
    lines[5] = lines[5].removesuffix(",PublicTest")
    (workdir / "fer2013.csv").write_text("\n".join(lines))
    with pytest.raises(FERError) as error:
        Fer2013("fer2013.csv").read()
    classes = "0 anger, 1 disgust, 2 fear, 3 happiness, 4 sadness, 5 surprise, 6 neutral"
    assert str(error.value).splitlines()[:-1] == [
        "5 problems in the legend:",
        "  fer2013.csv:2: expected 2,304 pixels from 0 to 255, found 2,303 words",
        f"  fer2013.csv:3: unknown emotion '7'; expected one of {classes}",
        "  fer2013.csv:4: expected 2,304 pixels from 0 to 255, found '256'",
        "  fer2013.csv:5: unknown Usage 'Public'; expected one of Training, PublicTest, PrivateTest",
        "  fer2013.csv:6: expected 3 fields, found 2",
    ]
    assert str(error.value).endswith("\nCorrect them, or leave them out with --data.on_error drop.")
    for _ in range(2):
        legend = Fer2013("fer2013.csv", on_error="drop").read()
        assert labels_of(legend) == ["surprise", "neutral"]
        assert [problem.number for problem in legend.problems] == [2, 3, 4, 5, 6]
    (workdir / "fer2013.csv").write_text("emotion,pixels,Usage\n")
    with pytest.raises(FERError, match=r"fer2013.csv: the file has a header but no rows"):
        Fer2013("fer2013.csv").read()


def test_a_disk_that_takes_nothing_is_one_message(workdir):
    table(workdir / "fer2013.csv")
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, most[1]))
    try:
        with pytest.raises(FERError, match=r"^Cannot write to 'prepared' \(File too large\)\. .*--data.prepared_dir"):
            Fer2013("fer2013.csv", prepared_dir="prepared").read()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
    assert not [path for path in (workdir / "prepared").iterdir() if path.is_dir()]


def test_it_trains(workdir):
    rows = [(number % 7, number, "Training") for number in range(70)] + ROWS
    source = Fer2013(str(table(workdir / "fer2013.csv", rows)))
    data = FERDataModule(source=source, split="predefined", image_size=48)
    assert data.split.counts.sum(1).tolist() == [73, 2, 2]
    assert data.class_names == SEVEN


def test_classes_of_ones_own(workdir):
    table(workdir / "fer2013.csv")
    names = ["neutral", "happy", "angry", "sad", "fear", "disgust", "surprise"]
    source = Fer2013("fer2013.csv", classes=names)
    assert source.class_names == tuple(names)
    assert labels_of(source.read()) == ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]


def test_pixels_are_numbers_from_0_to_255():
    with pytest.raises(ValueError, match="found 'x1'"):
        face_of(pixels_of("x1"))
    assert face_of(pixels_of(255)).max() == 255
