"""Images and rows that cannot be used: an error, or left out, listed and known the next time."""

from __future__ import annotations

import csv

import pytest

from fer_lightning.data import image_checks
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.errors import FERError

PEOPLE = [(f"p{person}_{number}.png", ("fear", "sadness")[number]) for person in range(12) for number in range(2)]


@pytest.fixture
def damaged(make_data, workdir):
    """A data set in which two images are damaged, one of them in testing, and one is missing."""
    root = make_data(PEOPLE)
    (root / "images" / "p3_0.png").write_bytes(b"no image")
    (root / "images" / "p5_1.png").write_bytes((root / "images" / "p5_1.png").read_bytes()[:60])
    (root / "images" / "p7_0.png").unlink()
    return root


def module(root, **options):
    return FERDataModule(str(root), image_size=8, **options)


def test_an_error_by_default(damaged):
    with pytest.raises(FERError, match=r"1 problem in the legend(.|\n)*'p7_0.png' is not a file"):
        assert module(damaged).legend


def test_dropped_and_listed_and_looked_for_once(damaged, monkeypatch):
    data = module(damaged, on_error="drop")
    data.prepare("fit")
    gone = {"p3_0.png", "p5_1.png", "p7_0.png"}
    assert set(data.legend.images) == {image for image, _ in PEOPLE} - gone
    assert sum(len(data.samples(subset)) for subset in range(3)) == 21
    warning = next(said for said in data.legend.warnings if "left out" in said)
    assert warning.startswith(
        "3 images or rows that cannot be used are left out, see 'prepared_data/data_set-left_out-"
    )
    path = warning.partition("see '")[2].partition("'")[0]
    with open(path, newline="") as stream:
        assert {row["image"] for row in csv.DictReader(stream)} == gone
    monkeypatch.setattr(image_checks.LegendImages, "__getitem__", None)
    assert len(module(damaged, on_error="drop").legend) == 21


def test_another_image_is_looked_for_anew(damaged):
    assert len(module(damaged, on_error="drop").legend) == 21
    (damaged / "images" / "p0_0.png").write_bytes(b"now this one")
    assert len(module(damaged, on_error="drop").legend) == 20


def test_what_is_excluded_may_be_missing_or_damaged(damaged, workdir):
    (workdir / "list.csv").write_text("image\np3_0.png\np5_1.png\np7_0.png\n")
    data = module(damaged, exclude="list.csv")
    data.prepare("fit")
    assert len(data.split.legend) == 21
    (workdir / "list.csv").write_text("image\np3_0.png\np5_1.png\n")
    with pytest.raises(FERError, match=r"1 problem in the legend(.|\n)*'p7_0.png' is not a file"):
        assert module(damaged, exclude="list.csv").legend
    (workdir / "list.csv").write_text("image\np7_0.png\np5_1.png\n")
    with pytest.raises(FERError, match=r"1 of 22 images cannot be used(.|\n)*p3_0.png"):
        module(damaged, exclude="list.csv").prepare("fit")


def test_nothing_is_left(make_data, workdir):
    root = make_data([("a.png", "fear"), ("b.png", "sadness")])
    for name in ("a.png", "b.png"):
        (root / "images" / name).write_bytes(b"")
    with pytest.raises(FERError, match=r"None of the 2 images of .* can be used"):
        assert module(root, on_error="drop").legend


def test_rows_that_become_bad_later_are_said_too(make_data, workdir):
    root = make_data(PEOPLE)
    assert module(root, on_error="drop").legend.warnings == ()
    with open(root / "legend.csv", "a") as stream:
        stream.write("tester,none.png,fear\ntester,p0_1.png\n")
    legend = module(root, on_error="drop").legend
    assert legend.warnings[0].startswith("2 images or rows that cannot be used are left out, see ")
    assert [(one.number, one.image) for one in legend.problems] == [(26, "none.png"), (27, "")]
