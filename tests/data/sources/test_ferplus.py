"""FER+ from the two files that it is published as."""

from __future__ import annotations

import csv
import os

import numpy as np
import pytest
from PIL import Image

from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.legend import EXPRESSIONS
from fer_lightning.data.sources.ferplus import ferplus
from fer_lightning.errors import FERError
from tests.conftest import FERPLUS, flat, run_here

PUBLISHED = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")


def published(folder, rows):
    """The two files; a row is usage, name, fill value of the picture (or its pixels), and the votes by name."""
    with open(folder / "fer2013.csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["emotion", "pixels", "Usage"])
        for usage, _, fill, _ in rows:
            pixels = np.full((48, 48), fill, np.uint8) if isinstance(fill, int) else fill
            writer.writerow([0, " ".join(str(value) for value in pixels.flatten()), usage])
    with open(folder / "fer2013new.csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["Usage", "Image name", *PUBLISHED])
        for usage, name, _, votes in rows:
            writer.writerow([usage, name, *(votes.get(column, 0) for column in PUBLISHED)])
    return {"fer2013": str(folder / "fer2013.csv"), "votes": str(folder / "fer2013new.csv")}


ROWS = [
    ("Training", "a.png", 1, {"neutral": 6, "sadness": 1, "NF": 3}),
    ("Training", "tie.png", 2, {"neutral": 5, "sadness": 5}),
    ("Training", "unknown.png", 3, {"fear": 4, "unknown": 5}),
    ("Training", "equal.png", 4, {"fear": 4, "unknown": 4}),
    ("Training", "half.png", 9, {"anger": 5, "fear": 3, "sadness": 2}),
    ("Training", "most.png", 10, {"anger": 4, "fear": 3, "sadness": 2}),
    ("Training", "", 5, {"NF": 10}),
    ("Training", "copy.png", 6, {"anger": 9}),
    ("Training", "b.png", 7, {"contempt": 5, "neutral": 4}),
    ("Training", "again.png", 7, {"contempt": 6, "neutral": 4}),
    ("PublicTest", "c.png", 6, {"anger": 3, "fear": 2, "sadness": 1, "neutral": 1, "NF": 1}),
    ("PrivateTest", "d.png", 8, {"surprise": 10}),
]


@pytest.mark.parametrize(
    ("testing", "expected"),
    [
        ("PrivateTest", {"a.png": "training", "b.png": "training", "c.png": "validation", "d.png": "testing"}),
        ("PublicTest", {"a.png": "training", "b.png": "training", "c.png": "testing"}),
    ],
)
def test_what_is_kept_under_which_label_in_which_part(tmp_path, capsys, testing, expected):
    ferplus(**published(tmp_path, ROWS), output=str(tmp_path / "set"), testing=testing)
    with open(tmp_path / "set" / "legend.csv", newline="") as stream:
        legend = {row["image"]: row for row in csv.DictReader(stream)}
    assert {image: row["split"] for image, row in legend.items()} == expected
    assert [legend["a.png"][name] for name in EXPRESSIONS] == ["0", "0", "0", "0", "0", "6", "1", "0"]
    assert [legend[image]["emotion"] for image in ("a.png", "b.png", "c.png")] == ["neutral", "contempt", "anger"]
    assert {path.name for path in (tmp_path / "set" / "images").iterdir()} == set(expected)
    with Image.open(tmp_path / "set" / "images" / "b.png") as picture:
        assert (picture.mode, picture.size, picture.getextrema()) == ("L", (48, 48), (7, 7))
    assert "2 copies left out" in flat(capsys.readouterr().out)


def test_what_it_makes_is_a_data_set_and_nothing_is_overwritten(tmp_path):
    files = published(tmp_path, ROWS)
    words = ["ferplus", "--fer2013", files["fer2013"], "--votes", files["votes"], "--output", str(tmp_path / "set")]
    run_here(*words, cwd=tmp_path)
    split = FERDataModule(str(tmp_path / "set"), split="predefined", soft_labels=True).split
    assert split.counts.sum(1).tolist() == [2, 1, 1]
    with pytest.raises(FERError, match=r"--output.* exists already"):
        ferplus(**files, output=str(tmp_path / "set"))


def test_files_that_are_not_those_are_one_message_and_leave_nothing(tmp_path):
    files = published(tmp_path, ROWS)
    made = tmp_path / "set"
    with pytest.raises(FERError, match=r"--votes. Expected a file with the columns Usage, Image name, anger"):
        ferplus(files["fer2013"], files["fer2013"], str(made))
    with pytest.raises(FERError, match=r"--fer2013. Cannot read 'none.csv'"):
        ferplus("none.csv", files["votes"], str(made))
    lines = (tmp_path / "fer2013.csv").read_text().splitlines()
    (tmp_path / "short.csv").write_text("\n".join(lines[:-1]))
    with pytest.raises(FERError, match=r"as many rows .* which has 11. Received: 12"):
        ferplus(str(tmp_path / "short.csv"), files["votes"], str(made))
    (tmp_path / "cut.csv").write_text("\n".join([lines[0], lines[1].replace("1 1 1 1 ", "1 ", 1), *lines[2:]]))
    with pytest.raises(FERError, match=r"cut.csv, line 2: expected 2,304 pixels from 0 to 255, found 2,301 words"):
        ferplus(str(tmp_path / "cut.csv"), files["votes"], str(made))
    text = (tmp_path / "fer2013new.csv").read_text()
    for number, (wrong, message) in enumerate(
        {
            text.replace("a.png", "../a.png"): "line 2: expected an image name of its own .* found '../a.png'",
            text.replace("b.png", "a.png"): "line 10: expected an image name of its own .* found 'a.png'",
            text.replace("Training", "training"): "line 2: 'Usage' is 'training'. Expected one of Training, PublicTest",
            text.replace("Training,a", "PublicTest,a"): "'Usage' is 'PublicTest', and 'Training' in ",
            text.replace("a.png,6", "a.png,six"): "line 2: expected a number of votes, found 'six'",
            text.replace("Training,a", 'Training,"a') + "x" * 200_000: "a cell runs over",
        }.items()
    ):
        (tmp_path / f"{number}.csv").write_text(wrong)
        with pytest.raises(FERError, match=message):
            ferplus(files["fer2013"], str(tmp_path / f"{number}.csv"), str(made))
        assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == []
    text = text.replace("a.png,6", f"a.png,{'9' * 5000}")
    (tmp_path / "long.csv").write_text(text)
    with pytest.raises(FERError, match="expected a number of votes, found '9999"):
        ferplus(files["fer2013"], str(tmp_path / "long.csv"), str(made))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FERError, match="it is a device or a pipe"):
        ferplus(str(tmp_path / "pipe"), files["votes"], str(made))
    with pytest.raises(FERError, match=r"--output.* exists already"):
        ferplus(**files, output=str(tmp_path))
    assert not made.exists()


@pytest.mark.real_data
def test_the_real_votes_give_the_real_labels(tmp_path):
    with open(FERPLUS / "legend.csv", newline="") as stream:
        legend = [row for number, row in enumerate(csv.DictReader(stream)) if number % 20 == 0]
    rows = []
    for row in legend:
        votes = {name: int(row[name]) for name in EXPRESSIONS}
        rest = 10 - sum(votes.values())
        votes |= {"unknown": rest // 2, "NF": rest - rest // 2}
        with Image.open(FERPLUS / "images" / row["image"]) as picture:
            pixels = np.array(picture)
        rows.append(({"training": "Training", "testing": "PublicTest"}[row["split"]], row["image"], pixels, votes))
    ferplus(**published(tmp_path, rows), output=str(tmp_path / "set"), testing="PublicTest")
    with open(tmp_path / "set" / "legend.csv", newline="") as stream:
        assert list(csv.DictReader(stream)) == legend
