"""A folder for each class, in all the ways in which they lie."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from fer_lightning.data.legend import SUBSETS
from fer_lightning.data.sources.image_folder import ImageFolder
from fer_lightning.data.splits import make_split
from fer_lightning.errors import FERError


@pytest.fixture
def folder(tmp_path):
    """Make images, by their names, in a folder `faces`."""

    def make(*names: str) -> Path:
        for number, name in enumerate(names):
            path = tmp_path / "faces" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix in (".jpg", ".png"):
                Image.new("L", (8, 8), number).save(path)
            else:
                path.write_text("x")
        return tmp_path / "faces"

    return make


def rows(root: Path, **options) -> list[tuple[str, str, str]]:
    """Image, class and part of every row."""
    assert ImageFolder.fits(root)
    legend = ImageFolder(str(root), **options).read()
    parts = [SUBSETS[part] for part in legend.declared.tolist()] if legend.declared is not None else [""] * len(legend)
    classes = [legend.class_names[label] for label in legend.labels.tolist()]
    return list(zip(legend.images, classes, parts, strict=True))


def test_parts_around_classes(folder):
    root = folder("train/angry/a.jpg", "Train/happy/b.png", "Test/Angry/c.jpg", "validation/Happy/deep/d.jpg")
    assert rows(root) == [
        ("Test/Angry/c.jpg", "anger", "testing"),
        ("Train/happy/b.png", "happiness", "training"),
        ("train/angry/a.jpg", "anger", "training"),
        ("validation/Happy/deep/d.jpg", "happiness", "validation"),
    ]


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("training", "training"),
        ("Train_Set", "training"),
        ("val", "validation"),
        ("dev", "validation"),
        ("PublicTest", "validation"),
        ("testing", "testing"),
        ("PrivateTest", "testing"),
    ],
)
def test_parts_in_their_usual_spellings(name, part, folder):
    root = folder("train/fear/a.jpg", "train/calm/b.jpg", f"{name}/fear/c.jpg")
    assert {image: found for image, _, found in rows(root)}[f"{name}/fear/c.jpg"] == part


def test_classes_alone_or_around_parts_or_in_one_more_folder(folder):
    assert rows(folder("angry/a.jpg", "bored/b.jpg", "bored/c/d.jpg")) == [
        ("angry/a.jpg", "anger", ""),
        ("bored/b.jpg", "bored", ""),
        ("bored/c/d.jpg", "bored", ""),
    ]


def test_one_folder_around_all_is_passed_over(folder):
    root = folder("archive/images/train/sad/a.jpg", "archive/images/train/happy/b.jpg", "archive/images/test/sad/c.jpg")
    assert rows(root) == [
        ("archive/images/test/sad/c.jpg", "sadness", "testing"),
        ("archive/images/train/happy/b.jpg", "happiness", "training"),
        ("archive/images/train/sad/a.jpg", "sadness", "training"),
    ]


def test_classes_around_parts(folder):
    root = folder("sad/train/a.jpg", "sad/test/b.jpg", "happy/train/c.jpg", "happy/test/d.jpg")
    assert [(label, part) for _, label, part in rows(root)] == [
        ("happiness", "testing"),
        ("happiness", "training"),
        ("sadness", "testing"),
        ("sadness", "training"),
    ]


def test_what_is_no_image_is_counted_and_what_systems_leave_is_nothing(folder):
    junk = ("fear/Thumbs.db", "__MACOSX/fear/._a.jpg", ".ipynb_checkpoints/a.jpg", "fear/.hidden.jpg")
    root = folder("fear/a.jpg", "sad/b.jpg", "loose.jpg", "fear/notes.txt", "fear/more.txt", "fear/README", *junk)
    assert [image for image, *_ in rows(root)] == ["fear/a.jpg", "sad/b.jpg"]
    notes = ImageFolder(str(root)).read().notes
    assert notes == (
        "Left out: 1 image outside of the folders of classes.",
        "Files that are not images are left out: 2 .txt, 1 without an ending.",
    )


def test_the_legend_is_whole(folder):
    legend = ImageFolder(str(folder("b/1.jpg", "a/1.jpg", "b/2.jpg"))).read()
    assert legend.class_names == ("a", "b")
    assert legend.images == ["a/1.jpg", "b/1.jpg", "b/2.jpg"]
    assert legend.ranks.tolist() == [0, 0, 1]
    assert legend.class_rows.tolist() == [1, 2]
    assert legend.declared is None
    assert legend.image_dir == legend.path


def test_a_class_list_gives_order_and_numbers(folder):
    root = folder("0/a.jpg", "1/b.jpg", "2/c.jpg")
    assert [label for _, label, _ in rows(root, classes=["sad", "fear", "happy"])] == ["sad", "fear", "happy"]
    with pytest.raises(FERError, match=r"numbers, 0, 1, 2, and what they mean is not known.*--data.label_names"):
        ImageFolder(str(root)).read()


def test_a_folder_of_no_class_is_an_error_or_dropped(folder):
    root = folder("angry/a.jpg", "happy/b.jpg", "bored/c.jpg")
    with pytest.raises(FERError, match="the folder 'bored' is none of the classes anger, happiness"):
        ImageFolder(str(root), ["anger", "happiness"]).read()
    legend = ImageFolder(str(root), ["anger", "happiness"], on_error="drop").read()
    assert legend.images == ["angry/a.jpg", "happy/b.jpg"]
    assert [problem.message for problem in legend.problems] == [
        "the folder 'bored' is none of the classes anger, happiness"
    ]


def test_parts_beside_something_else_are_not_guessed(folder):
    root = folder("train/fear/a.jpg", "test/fear/b.jpg", "bored/c.jpg")
    with pytest.raises(FERError, match="the folders test, train are parts of a split, but bored beside them are not"):
        ImageFolder(str(root)).read()


def test_links_to_files_outside_are_taken_when_asked_for(folder, tmp_path):
    root = folder("fear/a.jpg", "sad/b.jpg")
    Image.new("L", (8, 8)).save(tmp_path / "store.jpg")
    (root / "sad" / "c.jpg").symlink_to(tmp_path / "store.jpg")
    (root / "sad" / "d.jpg").symlink_to(root / "sad" / "b.jpg")
    with pytest.raises(FERError, match=r"'sad/c.jpg' is a link to a file outside the folder; --data.follow_links true"):
        ImageFolder(str(root)).read()
    legend = ImageFolder(str(root), follow_links=True).read()
    assert legend.images == ["fear/a.jpg", "sad/b.jpg", "sad/c.jpg", "sad/d.jpg"]
    assert "Links to files outside the folder: 1." in legend.notes


def test_only_validation_is_tested(folder):
    names = [f"{part}/{label}/{n}.jpg" for part in ("train", "val") for label in ("fear", "sad") for n in range(20)]
    split = make_split(ImageFolder(str(folder(*names))).read())
    assert split.options["rule"] == "predefined"
    assert split.counts.sum(1).tolist() == [36, 4, 40]
    assert "There is no testing part: what is called validation is tested; validation is drawn" in split.warnings[0]


@pytest.mark.parametrize("names", [(), ("a.jpg", "b.jpg"), ("one/a.jpg", "one/b.jpg"), ("a/x.txt", "b/x.txt")])
def test_what_is_no_such_folder(names, folder, tmp_path):
    (tmp_path / "faces").mkdir(exist_ok=True)
    folder(*names)
    assert not ImageFolder.fits(tmp_path / "faces")
    with pytest.raises(FERError, match=r"train/angry/ann.jpg|no images"):
        ImageFolder(str(tmp_path / "faces")).read()


def test_classes_within_folders_of_people_or_groups(folder):
    many = [f"subject{person:02d}/{word}/{person}.jpg" for person in range(12) for word in ("angry", "happy")]
    legend = ImageFolder(str(folder(*many))).read()
    assert legend.class_names == ("anger", "happiness")
    assert legend.identities[:2] == ["subject00", "subject00"]
    assert legend.attributes["folder"][-1] == "subject11"


def test_a_few_groups_around_classes_are_no_people(folder):
    legend = ImageFolder(str(folder("male/angry/a.jpg", "male/sad/b.jpg", "female/angry/c.jpg"))).read()
    assert legend.class_names == ("anger", "sadness")
    assert legend.identities is None
    assert legend.attributes == {"folder": ["female", "male", "male"]}


def test_parts_with_words_around_them(folder):
    root = folder("train_images/angry/a.jpg", "train_images/sad/b.jpg", "2_test/angry/c.jpg")
    assert [(label, part) for _, label, part in rows(root)] == [
        ("anger", "testing"),
        ("anger", "training"),
        ("sadness", "training"),
    ]


def test_links_to_folders_are_refused_or_followed_and_never_in_circles(folder, tmp_path):
    root = folder("fear/a.jpg", "calm/b.jpg")
    (tmp_path / "store").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "store" / "c.jpg")
    (root / "sad").symlink_to(tmp_path / "store")
    (root / "fear" / "again").symlink_to(root)
    with pytest.raises(FERError, match=r"'fear/again' is a link to a folder(.|\n)*'sad' is a link to a folder"):
        ImageFolder(str(root)).read()
    assert ImageFolder(str(root), follow_links=True).read().images == ["calm/b.jpg", "fear/a.jpg", "sad/c.jpg"]


def test_only_training_is_split_here(folder):
    names = [f"train/{label}/{n}.jpg" for label in ("fear", "sad") for n in range(20)]
    legend = ImageFolder(str(folder(*names, "train/calm/x.jpg"))).read()
    assert make_split(legend).options["rule"] == "grouped"
