"""A legend from plain lists gets the checks of a legend file."""

from __future__ import annotations

import numpy as np
import pytest

from fer_lightning.data.legend_lists import make_legend
from fer_lightning.data.splits import make_split
from fer_lightning.errors import FERError


@pytest.fixture
def folder(tmp_path):
    for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


NAMES = ["a.jpg", "b.jpg", "./c.jpg"]


def test_what_is_given_is_what_is_there(folder):
    legend = make_legend(
        folder, NAMES, ["Jolly", "fear ", "jolly"], ["jolly", "fear"], ["ann", "bob", ""],
        ["training", "testing", "Training"], np.array([[3, 1], [0, 2], [1, 0]]), ["me"] * 3,
    )  # fmt: skip
    assert legend.images == ["a.jpg", "b.jpg", "c.jpg"]
    assert (legend.labels.tolist(), legend.class_names) == ([0, 1, 0], ("jolly", "fear"))
    assert legend.identities == ["ann", "bob", "c.jpg"]
    assert legend.votes.tolist() == [[3, 1], [0, 2], [1, 0]]
    assert (legend.users, legend.ranks.tolist()) == (["me"] * 3, [0, 0, 1])
    assert make_split(legend, "predefined", val_fraction=0).subsets.tolist() == [0, 2, 0]
    plain = make_legend(folder, NAMES, ["jolly", "fear", "jolly"])
    assert plain.class_names == ("fear", "jolly")
    assert plain.declared is plain.identities is plain.votes is None


def test_every_wrong_entry_is_named(folder):
    with pytest.raises(FERError) as error:
        make_legend(folder, ["A.jpg", "../b.jpg", "c.jpg", "d.jpg"], ["jolly", "fear", "", "sad"], ["jolly", "fear"])
    message = str(error.value)
    assert message.startswith("4 problems")
    assert f"{folder}, entry 0: the image 'A.jpg' is not a file in '{folder}' (there is 'a.jpg'" in message
    assert "entry 1: the image name '../b.jpg' leaves the image folder" in message
    assert "entry 2: the label is empty" in message
    assert "entry 3: unknown label 'sad'; expected one of jolly, fear" in message


def test_lists_that_do_not_fit_are_refused(folder):
    with pytest.raises(FERError, match=r"labels\. Expected as many as images, 3. Received: 1"):
        make_legend(folder, NAMES, ["jolly"])
    with pytest.raises(FERError, match="No image folder found"):
        make_legend(folder / "none", NAMES, ["jolly"] * 3)
    with pytest.raises(FERError, match="found empty lists"):
        make_legend(folder, [], [])
    with pytest.raises(FERError, match="found only 'jolly'"):
        make_legend(folder, NAMES, ["jolly"] * 3)
    with pytest.raises(FERError, match="Votes need class_names"):
        make_legend(folder, NAMES, ["jolly", "fear", "jolly"], votes=[[1, 0]] * 3)
    with pytest.raises(FERError, match=r"entry 1: .*stands under two labels: jolly \(entry 0\) and fear \(entry 1\)"):
        make_legend(folder, ["a.jpg", "a.jpg"], ["jolly", "fear"], conflicts="error")
    with pytest.raises(FERError, match="without slashes"):
        make_legend(folder, NAMES, ["jolly", "fear", "jolly"], ["jolly", "fear/horror"])


def test_rows_are_taken_by_number_in_their_order_or_by_mask(make_data):
    root = make_data([(f"p{number}.png", ("jolly", "fear")[number % 2]) for number in range(4)])
    legend = make_legend(root / "images", [f"p{number}.png" for number in range(4)], ["jolly", "fear"] * 2)
    assert legend.take(np.array([2, 0])).images == ["p2.png", "p0.png"]
    assert legend.take(np.array([2, 0])).labels.tolist() == legend.labels[[2, 0]].tolist()
    assert legend.take(np.array([True, False, False, True])).images == ["p0.png", "p3.png"]
