"""Tables as people have them: separators, encodings, headings, places of the images."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest
from PIL import Image

from fer_lightning.data.sources.table import Table, read_table
from fer_lightning.errors import FERError


@pytest.fixture
def table(tmp_path):
    """Write a table beside three images, `a.jpg`, `b.jpg` and `sub/c.jpg`."""
    for name in ("a.jpg", "b.jpg", "sub/c.jpg"):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8)).save(tmp_path / "set" / name)

    def write(content: str | bytes, name: str = "labels.csv") -> Path:
        path = tmp_path / "set" / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


ROWS = "path,label\na.jpg,angry\nb.jpg,Happy\nsub/c.jpg,happy\n"
READ = [("a.jpg", "anger"), ("b.jpg", "happiness"), ("sub/c.jpg", "happiness")]


def pairs(path: Path, **options) -> list[tuple[str, str]]:
    legend = read_table(path, **options)
    return [(image, legend.class_names[label]) for image, label in zip(legend.images, legend.labels, strict=True)]


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (ROWS, ""),
        (ROWS.replace(",", ";"), "separated by semicolons"),
        (ROWS.replace(",", "\t"), "by tabs"),
        ("sep=;\r\n" + ROWS.replace(",", ";"), "separated by semicolons"),
        (codecs.BOM_UTF8 + ROWS.encode(), ""),
        (ROWS.encode("utf-16"), "in UTF-16"),
        (codecs.BOM_UTF16_BE + ROWS.encode("utf-16-be"), "in UTF-16"),
        (ROWS.replace("\n", "\r\n") + "\r\n", ""),
        (ROWS.replace("sub/c", "sub\\c"), ""),
        (ROWS.replace("path,label", " File_Name , Expression "), ""),
        (",path,label\n0,a.jpg,angry\n1,b.jpg,Happy\n2,sub/c.jpg,happy\n", ""),
    ],
)
def test_separators_encodings_and_headings(content, note, table):
    path = table(content)
    assert pairs(path) == READ
    legend = read_table(path)
    assert legend.attributes == {}
    assert legend.format == "a table"
    assert any(note in said for said in legend.notes)


def test_latin_1_is_found_out_and_said(table):
    legend = read_table(table("image,label,place\na.jpg,sad,Köln\nb.jpg,fear,Bonn\n".encode("cp1252")))
    assert legend.attributes == {"place": ["Köln", "Bonn"]}
    assert any("in Latin-1 (no UTF-8)" in said for said in legend.notes)


def test_every_role_and_what_is_left(table):
    legend = read_table(
        table("pth,class,usage,subject,annotator,Gender,note,empty\n"
              "a.jpg,sad,Train,ann,eve,f," + "x" * 200 + ",\nb.jpg,fear,PrivateTest,ben,eve,m,y,\n")
    )  # fmt: skip
    assert legend.declared.tolist() == [0, 2]
    assert legend.identities == ["ann", "ben"]
    assert legend.users == ["eve", "eve"]
    assert legend.attributes == {"gender": ["f", "m"]}
    assert any("longer than 100 characters: note" in said for said in legend.notes)
    assert any("'pth' is the image" in said and "'class' is the label" in said for said in legend.notes)


def test_headings_may_be_named(table):
    path = table("what,who,label,emotion\na.jpg,ann,x,sad\nb.jpg,ben,y,fear\n")
    with pytest.raises(FERError) as refused:
        read_table(path)
    assert "no column is known to be the image. Found: what, who, label, emotion" in str(refused.value)
    assert "--data.columns '{image: what}'" in str(refused.value)
    with pytest.raises(FERError, match=r"several columns may be the label: label, emotion. Choose one: --data.columns"):
        read_table(path, columns={"image": "what"})
    legend = read_table(path, columns={"image": "What", "label": "emotion", "identity": "who"})
    assert legend.class_names == ("fear", "sadness")
    assert legend.identities == ["ann", "ben"]
    assert legend.attributes == {"label": ["x", "y"]}
    for columns, said in (
        ({"picture": "what"}, "Expected some of image, label, split, identity, user.*Received: 'picture'"),
        ({"image": "nothing"}, "heading of one column of .* for image: what, who, label, emotion. Received: 'nothing'"),
    ):
        with pytest.raises(FERError, match=said):
            read_table(path, columns=columns)


def test_votes_for_words_of_their_own(table):
    legend = read_table(table("image,emotion,happy,sad\na.jpg,happy,7,3\nb.jpg,sad,1,9\n"))
    assert legend.class_names == ("happiness", "sadness")
    assert legend.votes.tolist() == [[7, 3], [1, 9]]
    assert legend.attributes == {}


def test_one_column_that_is_called_as_a_class_is_no_vote(table):
    legend = read_table(table("image,emotion,fear\na.jpg,happy,low\nb.jpg,sad,high\n"))
    assert legend.votes is None
    assert legend.attributes == {"fear": ["low", "high"]}


def test_images_are_found_beside_the_table_or_where_one_says(table, tmp_path):
    path = table("image,label\na.jpg,sad\nb.jpg,fear\n")
    moved = tmp_path / "set" / "tables" / "labels.csv"
    moved.parent.mkdir()
    moved.write_bytes(path.read_bytes())
    assert read_table(moved).image_dir == tmp_path / "set"
    assert Table(str(moved), images=str(tmp_path / "set")).read().images == ["a.jpg", "b.jpg"]
    with pytest.raises(FERError, match=r"No image folder found: expected one at .*nowhere"):
        Table(str(moved), images=str(tmp_path / "nowhere")).read()


def test_absolute_names_and_such_that_lead_elsewhere(table, tmp_path):
    path = table(f"image,label\n{tmp_path}/set/a.jpg,sad\n{tmp_path}/set/sub/c.jpg,fear\n")
    legend = read_table(path)
    assert legend.image_dir == tmp_path / "set"
    assert legend.images == ["a.jpg", "sub/c.jpg"]
    inner = tmp_path / "set" / "tables" / "labels.csv"
    inner.parent.mkdir()
    inner.write_text("image,label\n../a.jpg,sad\n../sub/c.jpg,fear\n")
    legend = read_table(inner)
    assert (legend.image_dir, legend.images) == (tmp_path / "set", ["a.jpg", "sub/c.jpg"])


def test_numbers_need_names(table):
    path = table("image,label\na.jpg,0\nb.jpg,1\n")
    with pytest.raises(FERError, match=r"the labels are numbers, 0, 1, and what they mean is not known"):
        read_table(path)
    assert pairs(path, classes=["sad", "fear"]) == [("a.jpg", "sad"), ("b.jpg", "fear")]


def test_what_is_missing_is_listed_or_left_out(table):
    path = table("image,label\na.jpg,sad\nnone.jpg,fear\nb.jpg,fear\n")
    with pytest.raises(FERError, match=r"labels.csv:3: the image 'none.jpg' is not a file"):
        Table(str(path)).read()
    legend = Table(str(path), on_error="drop").read()
    assert legend.images == ["a.jpg", "b.jpg"]
    assert [(one.number, one.image) for one in legend.problems] == [(3, "none.jpg")]


def test_a_folder_with_one_table_is_that_table(table, tmp_path):
    table(ROWS)
    assert Table.fits(tmp_path / "set")
    assert Table(str(tmp_path / "set")).read().images == [image for image, _ in READ]
    table(ROWS, "more.tsv")
    assert not Table.fits(tmp_path / "set")


def test_a_quote_that_is_not_closed_swallows_no_rows(table):
    rows = "".join(f"{'ab'[n % 2]}.jpg,{('sad', 'fear')[n % 2]},x\n" for n in range(30))
    for broken, said in (
        ('a.jpg,sad,"19\n', r"labels.csv, line 2: a cell runs over 31 lines. Is a quote not closed there"),
        ('a.jpg,"sad,19\n', r"labels.csv, line 2: a cell runs over 31 lines"),
    ):
        with pytest.raises(FERError, match=said):
            read_table(table("image,label,age\n" + broken + rows))
    legend = read_table(table('image,label,note\na.jpg,sad,"two\nlines"\nb.jpg,fear,x\n'))
    assert legend.attributes == {"note": ["two\nlines", "x"]}


def test_names_of_another_machine_are_matched_by_their_ends(table, tmp_path):
    for start in ("C:\\Users\\me\\set\\", "/home/me/set/"):
        path = table(f"image,label\n{start}none.jpg,sad\n{start}a.jpg,sad\n{start}sub/c.jpg,fear\n")
        legend = read_table(path, strict=False)
        assert legend.images == ["a.jpg", "sub/c.jpg"]
        assert [one.image for one in legend.problems] == ["none.jpg"]
    assert read_table(path, tmp_path / "set", strict=False).images == ["a.jpg", "sub/c.jpg"]


def test_the_first_images_may_be_missing_and_names_may_go_round(table, tmp_path):
    (tmp_path / "set" / "images").mkdir()
    (tmp_path / "set" / "a.jpg").rename(tmp_path / "set" / "images" / "a.jpg")
    (tmp_path / "set" / "b.jpg").rename(tmp_path / "set" / "images" / "b.jpg")
    path = table(f"image,label\nnone.jpg,sad\n./x/../a.jpg,sad\n{tmp_path}/set/images/b.jpg,fear\n")
    assert read_table(path, strict=False).images == ["a.jpg", "b.jpg"]


def test_a_column_that_is_no_split_is_a_column(table):
    legend = read_table(table("image,label,set\na.jpg,sad,a\nb.jpg,fear,b\n"))
    assert legend.declared is None
    assert legend.attributes == {"set": ["a", "b"]}
    path = table("image,label,split\na.jpg,sad,train\nb.jpg,fear,test\n")
    assert read_table(path).declared.tolist() == [0, 2]
    assert read_table(path, columns={"split": ""}).attributes == {"split": ["train", "test"]}


def test_numbers_have_names_of_their_own(table):
    path = table("image,label\na.jpg,0.0\nb.jpg,2.0\n")
    assert pairs(path, label_names=["fear", "x", "happy"]) == [("a.jpg", "fear"), ("b.jpg", "happiness")]
    eight = ["anger", "contempt", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"]
    assert pairs(path, classes=eight, label_names=["sad", "x", "calm"]) == [("a.jpg", "sadness"), ("b.jpg", "neutral")]
    with pytest.raises(FERError, match=r"numbers, 0, 2, and what they mean is not known.*--data.label_names"):
        read_table(path, classes=eight, label_names=[])
    with pytest.raises(FERError, match=r"labels.csv:3: unknown label '2'; expected one of anger"):
        read_table(path, classes=eight, label_names=["sad", "x", "bored"])


def test_accents_in_either_encoding(table, tmp_path):
    (tmp_path / "set" / "a.jpg").rename(tmp_path / "set" / "e\u0301.jpg")
    assert read_table(table("image,label\n\u00e9.jpg,sad\nb.jpg,fear\n")).images == ["e\u0301.jpg", "b.jpg"]
