from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fer_lightning import FERError
from fer_lightning.data.legend import EXPRESSIONS, locate_legend
from fer_lightning.data.sources.legend_csv import read_legend


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg", "with, comma.jpg"):
        (folder / name).write_bytes(b"x")
    return folder


@pytest.fixture
def legend(tmp_path: Path) -> Callable[[str | bytes], Path]:
    def write(text: str | bytes) -> Path:
        path = tmp_path / "legend.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


HEAD = "user.id,image,emotion\n"


def test_labels_are_case_and_space_insensitive_and_classes_alphabetical(legend, images):
    read = read_legend(legend(HEAD + "1,a.jpg,Neutral\n1,b.jpg, ANGER \n2,c.jpg,neutral\n"), images)
    assert read.class_names == ("anger", "neutral")
    assert read.images == ["a.jpg", "b.jpg", "c.jpg"]
    assert read.labels.tolist() == [1, 0, 1]
    assert read.users == ["1", "1", "2"]
    assert read.ranks.tolist() == [0, 0, 1]
    assert read.class_rows.tolist() == [1, 2]
    assert read.votes is None
    assert read.declared is None
    assert any("3 spellings of 2 labels" in warning for warning in read.warnings)


def test_bom_crlf_quotes_and_blank_lines_are_fine(legend, images):
    text = b'\xef\xbb\xbf"user.id",image,emotion\r\n\r\n1,"with, comma.jpg","fear"\r\n   \r\n1,a.jpg,anger\r\n\r\n'
    read = read_legend(legend(text), images)
    assert read.images == ["with, comma.jpg", "a.jpg"]
    assert [read.class_names[label] for label in read.labels] == ["fear", "anger"]


def test_problems_come_all_together_with_their_lines(legend, images):
    path = legend(HEAD + "1,a.jpg,anger\n1,missing.jpg,anger\n1,,anger\n1,b.jpg,\n,c.jpg,fear\n1,d.jpg\n1,B.JPG,fear\n")
    with pytest.raises(FERError) as error:
        read_legend(path, images)
    message = str(error.value)
    assert message.startswith("5 problems in the legend")
    assert f"{path}:3: the image 'missing.jpg' is not a file" in message
    assert f"{path}:4: the field 'image' is empty" in message
    assert f"{path}:5: the field 'emotion' is empty" in message
    assert f"{path}:7: expected 3 fields, found 2" in message
    assert f"{path}:8: the image 'B.JPG' is not a file in '{images}' (there is 'b.jpg': upper and lower" in message


def test_only_the_first_twenty_problems_are_shown(legend, images):
    with pytest.raises(FERError) as error:
        read_legend(legend(HEAD + "1,none.jpg,anger\n" * 50), images)
    lines = str(error.value).splitlines()
    assert lines[0].startswith("50 problems")
    assert len(lines) == 23
    assert lines[-2].strip() == "... and 30 more"
    assert lines[-1] == "Correct them, or leave them out with --data.on_error drop."


@pytest.mark.parametrize(
    "name", ["../secret.jpg", "/etc/passwd", "sub/../../secret.jpg", "..", "C:\\x.jpg", "..\\x.jpg"]
)
def test_names_that_leave_the_image_folder_are_refused(name, legend, images, tmp_path):
    (tmp_path / "secret.jpg").write_bytes(b"x")
    with pytest.raises(FERError, match="leaves the image folder"):
        read_legend(legend(HEAD + f"1,{name},anger\n"), images)


def test_links_that_leave_the_image_folder_are_refused_and_links_inside_are_fine(legend, images, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.jpg").write_bytes(b"x")
    (images / "out.jpg").symlink_to(outside / "x.jpg")
    (images / "folder").symlink_to(outside)
    (images / "inside.jpg").symlink_to(images / "a.jpg")
    with pytest.raises(FERError) as error:
        read_legend(legend(HEAD + "1,out.jpg,anger\n1,folder/x.jpg,fear\n1,inside.jpg,fear\n"), images)
    assert str(error.value).startswith("2 problems")
    assert ":2:" in str(error.value)
    assert ":3:" in str(error.value)


def test_images_may_lie_in_folders_inside(legend, images):
    (images / "sub").mkdir()
    (images / "sub" / "e.jpg").write_bytes(b"x")
    assert read_legend(legend(HEAD + "1,sub/e.jpg,anger\n1,./a.jpg,fear\n"), images).images == ["sub/e.jpg", "a.jpg"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        (HEAD, "has a header but no rows"),
        ("user.id,emotion\n1,anger\n", "no column is known to be the image. Found: user.id, emotion"),
        ("a,b\n1,anger\n", "no column is known to be the image or the label. Found: a, b"),
        ("user.id,image,emotion,image\n1,a.jpg,anger,a.jpg\n", "column image stands twice"),
        ("user.id,image,emotion,split\n1,a.jpg,anger,practice\n1,b.jpg,fear,test\n", "unknown split 'practice'"),
        ("user.id,image,emotion,split\n1,a.jpg,anger,\n", "the field 'split' is empty"),
        ("user.id,image,emotion,anger,fear\n1,a.jpg,anger,x,1\n", "votes must be numbers"),
        ("user.id,image,emotion,anger,fear\n1,a.jpg,anger,0,0\n", "votes must be numbers"),
        (
            "user.id,image,emotion,anger,fear\n1,a.jpg,sadness,1,0\n1,b.jpg,fear,0,1\n",
            "vote columns, but none for the label sadness",
        ),
        (HEAD + "1,a.jpg,a/b\n", "cannot name a folder"),
    ],
)
def test_what_is_wrong_with_the_file_is_said(text, message, legend, images):
    with pytest.raises(FERError, match=message):
        read_legend(legend(text), images)


def test_not_text_and_not_csv(legend, images):
    with pytest.raises(FERError, match="it is not a text"):
        read_legend(legend(HEAD.encode() + b"1,\0\xfe.jpg,anger\n"), images)
    with pytest.raises(FERError, match=r"legend.csv', line 2: not readable as CSV"):
        read_legend(legend(HEAD + "1," + "x" * 200_000 + ",anger\n"), images)


def test_class_list_fixes_the_order_and_refuses_other_labels(legend, images):
    path = legend(HEAD + "1,a.jpg,fear\n1,b.jpg,anger\n")
    assert read_legend(path, images, classes=["Fear", "anger", "jolly"]).labels.tolist() == [0, 1]
    with pytest.raises(FERError, match="unknown label 'anger'; expected one of fear, jolly"):
        read_legend(path, images, classes=["fear", "jolly"])
    with pytest.raises(FERError, match=r"--data\.classes"):
        read_legend(path, images, classes=["fear", "Fear"])


def test_repeated_rows_collapse_and_conflicts_follow_the_policy(legend, images):
    path = legend(HEAD + "1,a.jpg,fear\n1,b.jpg,anger\n2,a.jpg,fear\n1,c.jpg,fear\n1,b.jpg,fear\n")
    dropped = read_legend(path, images)
    assert dropped.images == ["a.jpg", "c.jpg"]
    assert dropped.ranks.tolist() == [0, 2]
    assert dropped.class_rows.tolist() == [1, 4]
    assert any("1 repeated rows" in warning for warning in dropped.warnings)
    assert any("under two labels, left out (first: b.jpg" in warning for warning in dropped.warnings)
    kept = read_legend(path, images, conflicts="keep")
    assert list(zip(kept.images, kept.labels.tolist(), strict=True)) == [
        ("a.jpg", 1), ("b.jpg", 0), ("c.jpg", 1), ("b.jpg", 1),
    ]  # fmt: skip
    with pytest.raises(FERError, match=r"legend.csv:6: the image 'b.jpg' .*anger \(line 3\) and fear \(line 6\)"):
        read_legend(path, images, conflicts="error")


def test_split_identity_and_votes_are_read_in_class_order(legend, images):
    path = legend(
        "user.id,image,emotion,split,identity,fear,anger\n"
        "1,a.jpg,fear,Training,Ann,3,1\n1,b.jpg,anger,testing,,0,2.5\n1,c.jpg,anger,validation,Bob,1,4\n"
    )
    read = read_legend(path, images)
    assert read.class_names == ("anger", "fear")
    assert read.declared is not None
    assert read.declared.tolist() == [0, 2, 1]
    assert read.identities == ["Ann", "b.jpg", "Bob"]
    np.testing.assert_array_equal(read.votes, np.array([[1, 3], [2.5, 0], [4, 1]], np.float32))


def test_legend_is_found_in_data_or_beside_images(tmp_path, images):
    with pytest.raises(FERError, match=r"data/legend.csv' or .*legend.csv'"):
        locate_legend(tmp_path)
    (tmp_path / "legend.csv").write_text(HEAD)
    assert locate_legend(tmp_path) == (tmp_path / "legend.csv", images)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "legend.csv").write_text(HEAD)
    assert locate_legend(tmp_path)[0] == tmp_path / "data" / "legend.csv"
    assert locate_legend(tmp_path, legend=str(tmp_path / "legend.csv"))[0] == tmp_path / "legend.csv"
    with pytest.raises(FERError, match="No image folder found"):
        locate_legend(tmp_path, images=str(tmp_path / "nowhere"))
    with pytest.raises(FERError, match=r"--data\.root"):
        locate_legend(tmp_path / "nowhere")


def test_a_hundred_thousand_rows_keep_their_order_and_labels(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    os.close(os.open(folder / "first.jpg", os.O_CREAT))
    for number in range(1000):
        os.link(folder / "first.jpg", folder / f"{number}.jpg")
    rows = [(f"{number % 1000}.jpg", EXPRESSIONS[number % 8]) for number in range(100_000)]
    path = tmp_path / "legend.csv"
    path.write_text(HEAD + "".join(f"u,{image},{emotion}\n" for image, emotion in rows))
    read = read_legend(path, folder)
    assert len(read) == 1000
    assert read.class_rows.tolist() == [12_500] * 8
    assert [EXPRESSIONS[label] for label in read.labels[:16]] == list(EXPRESSIONS) * 2


def test_thousands_of_missing_names_are_answered_at_once(legend, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(8000):
        (folder / f"{number}.jpg").touch()
    path = legend(HEAD + "".join(f"u,{number}.JPG,anger\n" for number in range(8000)))
    begun = time.perf_counter()
    with pytest.raises(FERError, match=r"8000 problems(.|\n)*\(there is '3.jpg': upper and lower"):
        read_legend(path, folder)
    assert time.perf_counter() - begun < 2  # it was 8 s, and four times that for twice the number
