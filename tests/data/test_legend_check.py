"""What enters as a legend is checked, whoever made it: names, ranges, numbers."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.legend import Legend
from fer_lightning.data.legend_check import check_legend
from fer_lightning.data.legend_lists import make_legend
from fer_lightning.data.sources import DataSource
from fer_lightning.data.sources.legend_csv import read_legend
from fer_lightning.data.splits import make_split
from fer_lightning.errors import FERError

ROWS = [(f"p{number}.png", ("jolly", "fear")[number % 2]) for number in range(40)]
BAD_NAMES = ["../../../out", "a/b", "a\\b", "..", "a\nb", "nul", "Com1.txt", "a.", "\u200b", "x" * 101, "a\u2028b"]


class Given(DataSource):
    """Gives a legend that somebody made by hand."""

    def __init__(self, legend: object) -> None:
        self.legend = legend

    def read(self) -> Legend:
        return self.legend  # type: ignore[return-value]


@pytest.fixture
def legend(make_data) -> Legend:
    root = make_data(ROWS)
    return read_legend(root / "legend.csv", root / "images")


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_class_that_cannot_name_a_folder_is_refused_wherever_it_comes_from(make_data, legend, tmp_path, name):
    with pytest.raises(FERError, match=r"--data\.classes") as refused:
        FERDataModule(classes=[name, "fear"])
    assert str(refused.value).isprintable()
    images = [image for image, _ in ROWS]
    with pytest.raises(FERError, match="cannot name a folder"):
        make_legend(legend.image_dir, images, [name] + ["fear"] * 39)
    with pytest.raises(FERError, match="class names of Given"):
        FERDataModule(source=Given(replace(legend, class_names=("jolly", name))), prepared_dir=str(tmp_path / "out"))
    if name.isprintable():
        root = make_data([("x.png", name), *ROWS])
        with pytest.raises(FERError, match="cannot name a folder"):
            FERDataModule(str(root))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "two", [("anger", "Anger "), ("é", "e\u0301"), ("anger", "ang\u200ber"), ("straße", "strasse")]
)
def test_classes_that_can_be_taken_for_one_are_refused(two):
    with pytest.raises(FERError, match=r"--data\.classes.*can be taken for one"):
        FERDataModule(classes=[*two, "fear"])


def test_accents_in_another_encoding_are_the_same_label(make_data):
    root = make_data([("a.png", "gaîté"), ("b.png", "gai\u0302te\u0301"), ("c.png", "peur")])
    legend = read_legend(root / "legend.csv", root / "images", ["gai\u0302te\u0301", "peur"])
    assert legend.class_names == ("gaîté", "peur")
    assert legend.labels.tolist() == [0, 0, 1]
    assert legend.warnings == ("3 spellings of 2 labels were merged.",)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"images": ["../p0.png"] + [image for image, _ in ROWS[1:]]}, "within the image folder"),
        ({"images": ["/etc/passwd"] + [image for image, _ in ROWS[1:]]}, "within the image folder"),
        ({"images": ["\udcff.png"] + [image for image, _ in ROWS[1:]]}, "UTF-8"),
        ({"images": ["p1.png"] * 40}, "no more than once"),
        ({"labels": np.full(40, 2)}, "labels from 0 to 1"),
        ({"labels": np.full(40, -1)}, "labels from 0 to 1"),
        ({"labels": np.zeros(40)}, "integers"),
        ({"labels": np.zeros(39, int)}, "integers"),
        ({"users": ["me"]}, "40 users"),
        ({"identities": [1] * 40}, "identities that are texts"),
        ({"declared": np.full(40, 3)}, "subsets from 0 to 2"),
        ({"votes": np.ones((40, 3))}, r"votes \(40, 2\)"),
        ({"votes": np.full((40, 2), np.nan)}, "votes that are finite"),
        ({"votes": np.full((40, 2), 1e39)}, "votes that are finite"),
        ({"votes": np.full((40, 2), 1e-60)}, "votes that are finite"),
        ({"class_names": ("jolly",)}, "2 to 1,000"),
        ({"class_names": ("jolly", "jolly")}, "can be taken for one"),
        ({"class_names": ("jolly", 7)}, "not all are texts"),
        ({"image_dir": Path("/none")}, "an image folder"),
    ],
)
def test_what_a_source_of_ones_own_gets_wrong_is_one_message(legend, change, said):
    with pytest.raises(FERError, match=said):
        FERDataModule(source=Given(replace(legend, **change)))


def test_a_source_that_gives_no_legend_or_other_classes_than_it_declares(legend):
    with pytest.raises(FERError, match=r"a fer_lightning Legend.*Received: dict"):
        FERDataModule(source=Given({}))
    source = Given(legend)
    source.class_names = ("fear", "jolly", "sadness")
    with pytest.raises(FERError, match="the classes that it declares"):
        _ = FERDataModule(source=source).split
    source.class_names = ("fear", "../jolly")
    with pytest.raises(FERError, match="without slashes"):
        FERDataModule(source=source)


def test_a_good_legend_stays_as_it_is(legend):
    checked = check_legend(legend, Given(legend))
    assert checked.labels.dtype == np.int64
    assert make_split(checked).fingerprint == make_split(legend).fingerprint


@pytest.mark.parametrize("votes", ["1e39,0", "nan,1", "inf,1", "-1,2", "0,0", "1e-60,0", "3e38,3e38", "1e400,0"])
def test_votes_are_finite_once_they_are_numbers_of_32_bits(make_data, votes):
    root = make_data(ROWS[:2])
    (root / "legend.csv").write_text(f"user.id,image,emotion,jolly,fear\nu,p0.png,jolly,{votes}\nu,p1.png,fear,1,2\n")
    with pytest.raises(FERError, match=r"legend.csv:2: 2 votes must be numbers of 0 or more"):
        read_legend(root / "legend.csv", root / "images", ["jolly", "fear"])


@pytest.mark.parametrize("votes", [[[1], [2]], [1, 2], [["a", 1], [1, 1]], [[1, 2, 3], [1, 2, 3]]])
def test_votes_in_lists_that_do_not_fit(make_data, votes):
    root = make_data(ROWS[:2])
    with pytest.raises(FERError, match="votes must be"):
        make_legend(root / "images", ["p0.png", "p1.png"], ["jolly", "fear"], ["jolly", "fear"], votes=votes)


NAMES = ("image", "split", "identity", "user.id", "emotion", "class:image", "=1+1", "-x", "$x^$", "-1", "'=a")


def test_classes_called_as_columns_or_formulas_come_back_from_split_csv(make_data, tmp_path):
    images = [f"p{number}.png" for number in range(43)] + ["=cmd.png"]
    root = make_data([(image, "jolly") for image in images])
    labels = [NAMES[number % len(NAMES)] for number in range(44)]
    votes = np.random.default_rng(0).integers(1, 9, (44, len(NAMES)))
    people = [f"@person {number // 4}" for number in range(44)]
    legend = make_legend(root / "images", images, labels, NAMES, people, votes=votes, users=["+me"] * 44)
    split = make_split(legend, "stratified", val_fraction=0.2)
    split.write_csv(tmp_path / "split.csv")
    header = next(csv.reader((tmp_path / "split.csv").open()))
    assert len({*header}) == len(header) == 5 + len(NAMES)
    assert header[5:10] == [f"class:{name}" for name in NAMES[:5]]
    cells = [cell for row in csv.reader((tmp_path / "split.csv").open()) for cell in row]
    assert not [cell for cell in cells if cell[:1] in ("=", "@", "+") or cell[:2] == "-x"]
    again = read_legend(tmp_path / "split.csv", root / "images", NAMES)
    assert (again.images, again.users, again.identities) == (legend.images, legend.users, legend.identities)
    assert again.labels.tolist() == legend.labels.tolist()
    assert again.votes.tolist() == legend.votes.tolist()
    assert make_split(again, "predefined").fingerprint == split.fingerprint


def test_a_legend_that_is_no_small_table_is_refused_at_once(make_data, tmp_path):
    root = make_data(ROWS)
    path = root / "legend.csv"
    for content, said in (
        (
            b"user.id,image,emotion," + b",".join(b"c%d" % n for n in range(100_000)),
            "100,003 columns",
        ),
        (b"x" * 3_000_000, "longer than 1,000,000 characters"),
        (
            b'user.id,image,emotion\nu,"p0.png,jolly\n' + b"u,p1.png,fear\n" * 20_000,
            "line 2: a cell runs over ",
        ),
        ("user.id,image,emotion\nu,p0.png,jolly\n".encode("utf-16-le"), "it is not a text"),
        (b"user.id,image,emotion\nu,p\x000.png,jolly\n", "it is not a text"),
        (b"user.id,image,emotion\nu,p0.png,jo\x00y\n", "it is not a text"),
    ):
        path.write_bytes(content)
        with pytest.raises(FERError, match=said) as refused:
            read_legend(path, root / "images")
        assert len(str(refused.value)) < 2000
