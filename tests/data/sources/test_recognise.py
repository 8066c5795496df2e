"""Which form a data set is in."""

from __future__ import annotations

import pytest
from PIL import Image

from fer_lightning.data.sources.image_folder import ImageFolder
from fer_lightning.data.sources.legend_csv import LegendCsv
from fer_lightning.data.sources.recognise import chosen_sources
from fer_lightning.data.sources.synthetic import SyntheticFaces
from fer_lightning.data.sources.table import Table
from fer_lightning.errors import FERError


def source_of(root=None, legend=None, **options):
    return chosen_sources(None, root and str(root), legend and str(legend), options)[0]


@pytest.fixture
def tree(tmp_path):
    for name in ("angry/a.jpg", "happy/b.jpg"):
        (tmp_path / "tree" / name).parent.mkdir(parents=True)
        Image.new("L", (8, 8)).save(tmp_path / "tree" / name)
    return tmp_path / "tree"


def test_each_is_read_by_its_own(tree, make_data):
    native = make_data([("a.png", "fear"), ("b.png", "sad")])
    table = tree / "labels.csv"
    table.write_text("path,label\nangry/a.jpg,angry\nhappy/b.jpg,happy\n")
    assert isinstance(source_of(), SyntheticFaces)
    assert isinstance(source_of(native), LegendCsv)
    assert isinstance(source_of(native, "legend.csv"), LegendCsv)
    assert isinstance(source_of(tree), Table)
    assert isinstance(source_of(table), Table)
    table.write_text("path,label\nangry/a.jpg,angry\nhappy/b.jpg,sad\n")
    with pytest.raises(FERError, match=r"do not agree: 'labels.csv' says sad of 'happy/b.jpg'. Name the one"):
        source_of(tree)
    table.write_text("nothing,known\n1,2\n")
    assert isinstance(source_of(tree), ImageFolder)
    table.write_text("path,label\nangry/a.jpg,angry\nhappy/b.jpg,happy\n")
    assert isinstance(source_of(None, table), Table)
    assert source_of(None, table, images=str(tree)).read().images == ["angry/a.jpg", "happy/b.jpg"]
    several = chosen_sources(None, [str(native), str(tree)], None, {"classes": ["fear", "sad"]})
    assert [type(one) for one in several] == [LegendCsv, Table]


def test_what_contradicts_itself_or_is_nothing(tree, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "x.txt").touch()
    (tmp_path / "sheets").mkdir()
    (tmp_path / "sheets" / "a.xlsx").touch()
    for arguments, said in (
        (
            (None, None, {"images": str(tree)}),
            "--data.images says where the images of --data.root or --data.legend are",
        ),
        (([str(tree), str(tree)], None, {"images": "x"}), "go with one --data.root, not with a list"),
        (
            (str(tree), None, {"images": str(tree)}),
            "--data.images does not go with .*, which is read as A folder for each",
        ),
        ((str(tree), None, {"columns": {"image": "x"}}), "--data.columns does not go with"),
        ((str(tmp_path / "nowhere"), None, {}), "Expected a data set, found nothing at"),
        (
            (str(tmp_path / "empty"), None, {}),
            r"in no known form: a folder with x.txt. Expected one of(.|\n)*labels.csv",
        ),
        (("a\0b", None, {}), "--data.root"),
        (
            (str(tmp_path / "sheets" / "a.xlsx"), None, {}),
            "a.xlsx' is a spreadsheet, which is not read. Export it as CSV",
        ),
        ((str(tmp_path / "sheets"), None, {}), "There is no data set in .*, but .*a.xlsx' is a spreadsheet"),
    ):
        with pytest.raises(FERError, match=said):
            chosen_sources(None, *arguments)


def test_a_table_beside_folders_whose_labels_are_numbers_or_headings_unusual(tree):
    table = tree / "labels.csv"
    table.write_text("path,label\nangry/a.jpg,1\nhappy/b.jpg,0\n")
    legend = source_of(tree, label_names=["happiness", "anger"]).read()
    assert [legend.class_names[label] for label in legend.labels] == ["anger", "happiness"]
    table.write_text("what,mood\nangry/a.jpg,angry\nhappy/b.jpg,happy\n")
    assert isinstance(source_of(tree, columns={"image": "what", "label": "mood"}), Table)


def test_a_name_that_no_file_can_have_is_a_row_and_no_end(tree):
    (tree / "labels.csv").write_text(f"path,label\n{'x' * 300}.jpg,sad\nangry/a.jpg,angry\nhappy/b.jpg,happy\n")
    with pytest.raises(FERError, match=r"labels.csv:2: the image 'x+"):
        source_of(tree).read()
    assert source_of(tree, on_error="drop").read().images == ["angry/a.jpg", "happy/b.jpg"]


def test_names_of_labels_are_refused_where_the_form_has_its_own(tmp_path):
    (tmp_path / "fer2013.csv").write_text("emotion,pixels,Usage\n")
    with pytest.raises(FERError, match=r"--data.label_names does not go with .*fer2013.csv"):
        source_of(tmp_path / "fer2013.csv", label_names=["fear", "sadness"])
