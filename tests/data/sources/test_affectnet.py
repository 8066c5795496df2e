"""AffectNet's tables, whose faces are cut out, and its folders."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from fer_lightning.data.legend import EXPRESSIONS, SUBSETS
from fer_lightning.data.legend_check import check_legend
from fer_lightning.data.sources import box_crops
from fer_lightning.data.sources.affectnet import AffectNet
from fer_lightning.errors import FERError

HEADER = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
LABELS = ["neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt"]
MARKS = ";".join(["123.45"] * 136)


def photograph(path, box=(20, 10, 40, 40), size=(100, 80), mode="L"):
    """Black, but for the face, which is white in its left half and gray in its right one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    left, top, width, height = box
    pixels = np.zeros(size[::-1], np.uint8)
    pixels[top : top + height, left : left + width // 2] = 255
    pixels[top : top + height, left + width // 2 : left + width] = 128
    Image.fromarray(pixels).convert(mode).save(path)


def row(name, number, box=(20, 10, 40, 40), feelings=("0.5", "-0.25")):
    return ",".join([name, *map(str, box), MARKS, str(number), *feelings])


def published(root, header=HEADER):
    """A photograph of each expression for training, and one that has none; one gray and one wide box in validation."""
    folder = root / "Manually_Annotated_Images"
    lists = root / "Manually_Annotated_file_lists"
    lists.mkdir(parents=True)
    lines = [header] if header else []
    for number in range(11):
        photograph(folder / str(number % 2) / f"{number}.png", mode="RGB")
        lines.append(row(f"{number % 2}/{number}.png", number))
    (lists / "training.csv").write_text("\n".join(lines))
    photograph(folder / "v" / "wide.bmp", (0, 20, 60, 20))
    photograph(folder / "v" / "same.png")
    photograph(folder / "v" / "same.bmp")
    rows = [row("v/wide.bmp", 0, (0, 20, 60, 20), ("1", "-2")), row("v/same.png", 1), row("v/same.bmp", 2)]
    (lists / "validation.csv").write_text("\n".join(rows))
    return root


def labels_of(legend):
    return [legend.class_names[label] for label in legend.labels]


def parts_of(legend):
    return [SUBSETS[part] for part in legend.declared]


@pytest.mark.parametrize("header", [HEADER, ""])
def test_the_tables(workdir, header, monkeypatch):
    root = published(workdir / "affectnet", header)
    assert AffectNet.fits(root)
    source = AffectNet(str(root))
    legend = check_legend(source.read(), source)
    assert legend.class_names == source.class_names == EXPRESSIONS
    assert labels_of(legend) == [*LABELS, "neutral", "happiness", "sadness"]
    assert parts_of(legend) == ["training"] * 8 + ["validation"] * 3
    assert legend.attributes["valence"] == [*["0.5"] * 8, "1", "0.5", "0.5"]
    assert legend.attributes["arousal"][:9] == [*["-0.25"] * 8, "-2"]
    assert legend.images[:2] == ["0/0.jpg", "1/1.jpg"]
    assert legend.images[8:] == ["v/wide.png", "v/same.png", "v/same-3.png"]
    assert legend.format == "AffectNet (training.csv and validation.csv)"
    assert legend.notes[0] == "Left out: 3 images without an expression (none 1, uncertain 1, no face 1)."
    monkeypatch.setattr(box_crops, "_cut", None)  # nothing is cut again
    again = AffectNet(str(root)).read()
    assert (again.images, again.image_dir) == (legend.images, legend.image_dir)


def test_what_is_cut_out(workdir):
    legend = AffectNet(str(published(workdir / "affectnet"))).read()
    with Image.open(legend.image_dir / "v" / "same.png") as image:
        pixels = np.asarray(image)
    # with a margin of 2 % the 40 pixels from (20, 10) on are 41 from there on
    expected = np.zeros((41, 41), np.uint8)
    expected[:40, :20], expected[:40, 20:40] = 255, 128
    np.testing.assert_array_equal(pixels, expected)
    with Image.open(legend.image_dir / "v" / "wide.png") as image:
        wide = np.asarray(image)
    # the square of 61 pixels around the middle (30, 30) would begin outside, at -0.6, and is moved inside
    expected = np.zeros((61, 61), np.uint8)
    expected[20:40, :30], expected[20:40, 30:60] = 255, 128
    np.testing.assert_array_equal(wide, expected)
    with Image.open(legend.image_dir / "0" / "0.jpg") as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (41, 41))


def test_large_faces_are_shrunk(workdir):
    root = workdir / "set"
    for name, number in (("a.png", 0), ("b.png", 1)):
        photograph(root / name, (0, 0, 1200, 1000), (1200, 1000))
        with open(root / "training.csv", "a") as stream:
            stream.write(row(name, number, (0, 0, 1200, 1000)) + "\n")
    legend = AffectNet(str(root / "training.csv")).read()
    with Image.open(legend.image_dir / "a.png") as image:
        assert image.size == (512, 512)


def test_automatic_annotations_are_read_only_if_asked_for(workdir):
    root = published(workdir / "affectnet")
    (root / "Automatically_annotated_file_list").mkdir()
    table = root / "Automatically_annotated_file_list" / "automatically_annotated.csv"
    table.write_text("\n".join([HEADER, row("x/a.png", 1), row("x/b.png", 2)]))
    for name in "ab":
        photograph(root / "Automatically_Annotated_Images" / "x" / f"{name}.png")
    legend = AffectNet(str(root)).read()
    assert len(legend) == 11
    assert legend.notes[1] == "Left out: automatically_annotated.csv; as --data.root, it is read."
    legend = AffectNet(str(table)).read()
    assert (labels_of(legend), parts_of(legend)) == (["happiness", "sadness"], ["training"] * 2)


def test_damaged_rows_are_listed(workdir):
    root = published(workdir / "affectnet")
    table = root / "Manually_Annotated_file_lists" / "validation.csv"
    table.write_text(
        "\n".join(
            [
                row("v/none.png", 1),
                row("v/same.png", 11),
                row("v/same.png", 1, (1, 2, "x", 4)),
                row("v/same.png", 1)[:-6],
                row("../../etc/passwd.png", 1),
            ]
        )
    )
    with pytest.raises(FERError) as error:
        AffectNet("affectnet").read()
    shown = table.relative_to(workdir)
    numbers = ", ".join(f"{n} {name}" for n, name in enumerate([*LABELS, "none", "uncertain", "no face"]))
    assert str(error.value).splitlines()[:-1] == [
        "5 problems in the legend:",
        f"  {shown}:1: the image 'v/none.png' is not a file in '{root / 'Manually_Annotated_Images'}'",
        f"  {shown}:2: unknown expression '11'; expected one of {numbers}",
        f"  {shown}:3: the face box is no four numbers: '1', '2', 'x', '4'",
        f"  {shown}:4: expected 9 fields, found 8",
        f"  {shown}:5: the image name '../../etc/passwd.png' leaves the image folder",
    ]
    legend = AffectNet("affectnet", on_error="drop").read()
    assert len(legend) == 8
    assert [problem.number for problem in legend.problems] == [1, 2, 3, 4, 5]


def test_boxes_and_photographs_that_cannot_be_cut(workdir):
    root = published(workdir / "affectnet")
    (root / "Manually_Annotated_Images" / "0" / "2.png").write_bytes(b"no image")
    table = root / "Manually_Annotated_file_lists" / "validation.csv"
    table.write_text("\n".join([row("v/same.png", 1, (90, 70, 40, 40)), row("v/same.bmp", 2, (10, 10, 0, 5))]))
    for _ in range(2):
        with pytest.raises(FERError) as error:
            AffectNet("affectnet").read()
        shown, size = table.relative_to(workdir), "is outside of the image, which has 100 x 80 pixels"
        broken = root / "Manually_Annotated_Images" / "0" / "2.png"
        assert str(error.value).splitlines()[:-1] == [
            "3 problems in the legend:",
            f"  {shown.with_name('training.csv')}:4: Cannot read the image '{broken}': it is not an image that can "
            "be decoded",
            f"  {shown}:1: the face box (left, top, width, height: 90, 70, 40, 40) {size}",
            f"  {shown}:2: the face box (left, top, width, height: 10, 10, 0, 5) {size}",
        ]
    assert len(AffectNet("affectnet", on_error="drop").read()) == 7


def test_folders_and_columns_that_are_missing(workdir):
    root = published(workdir / "affectnet")
    with pytest.raises(FERError, match=r"No image folder found: expected one at 'none'"):
        AffectNet("affectnet", images="none").read()
    (root / "Manually_Annotated_Images").rename(workdir / "elsewhere")
    assert len(AffectNet("affectnet", images="elsewhere").read()) == 11
    with pytest.raises(FERError, match=r"(?s)11 problems in the legend:.*'0/0.png' is not a file in"):
        AffectNet("affectnet").read()
    (workdir / "other.csv").write_text(HEADER.replace("face_x", "x") + "\n")
    assert not AffectNet.fits(workdir / "other.csv")
    assert not AffectNet.fits(workdir / "elsewhere")
    with pytest.raises(FERError, match=r"--data.root. Expected AffectNet: .* Found neither at 'elsewhere'"):
        AffectNet("elsewhere").read()


def folders(root, values):
    """`values`: by image number, the three annotations as numpy writes them."""
    for name, numbers in (("train_set", list(values)[:-2]), ("val_set", list(values)[-2:])):
        (root / name / "annotations").mkdir(parents=True)
        for number in numbers:
            photograph(root / name / "images" / f"{number}.jpg")
            for kind, value in zip(("exp", "val", "aro"), values[number], strict=True):
                np.save(root / name / "annotations" / f"{number}_{kind}.npy", value)
        (root / name / "annotations" / "0_lnd.npy").write_bytes(b"")


VALUES = {
    0: (np.array("0"), np.array("-0.5"), np.array("0.25")),
    1: (np.array("7", "<U2"), np.array("0.031746"), np.array("-2")),
    2: (np.int64(6), np.float64(0.1), np.float32(0.1)),
    3: (np.array([1.0]), np.array([-1]), np.array(b"0.5")),
    4: (np.array("8"), np.array("-2"), np.array("-2")),
    5: (np.array("2"), np.array("0"), np.array("0")),
    6: (np.array("5"), np.array("1"), np.array("1")),
}


def test_folders(workdir):
    folders(workdir / "affectnet", VALUES)
    for name in ("readme.txt", "._0.jpg", "Thumbs.db"):
        (workdir / "affectnet" / "train_set" / "images" / name).write_text("")
    assert AffectNet.fits(workdir / "affectnet")
    legend = AffectNet("affectnet").read()
    assert labels_of(legend) == ["neutral", "contempt", "anger", "happiness", "sadness", "disgust"]
    assert parts_of(legend) == ["training"] * 4 + ["validation"] * 2
    assert legend.images[0] == "train_set/images/0.jpg"
    assert legend.attributes["valence"] == ["-0.5", "0.031746", "0.1", "-1", "0", "1"]
    assert legend.attributes["arousal"] == ["0.25", "-2", "0.1", "0.5", "0", "1"]
    assert legend.notes == (
        "Left out: 1 image without an expression (none 1).",
        "Left out: 1 file without an image.",
    )
    assert not (workdir / "prepared_data").exists()


def test_damaged_annotations_are_listed_and_no_code_is_loaded(workdir):
    folders(workdir / "affectnet", VALUES)
    here = workdir / "affectnet" / "train_set" / "annotations"
    (here / "0_exp.npy").unlink()
    np.save(here / "1_exp.npy", np.array({"a": 1}, object), allow_pickle=True)
    (here / "2_exp.npy").write_bytes((here / "2_exp.npy").read_bytes()[:-4])
    (here / "3_exp.npy").write_bytes(b"3")
    np.save(here / "3_val.npy", np.zeros(3))
    np.save(here / "4_exp.npy", np.array("x"))
    folder = workdir / "affectnet" / "val_set" / "annotations"
    np.save(folder / "5_val.npy", np.zeros(3))
    with pytest.raises(FERError) as error:
        AffectNet("affectnet").read()
    start, names = "  affectnet: the annotation 'train_set/annotations/", "of an image is not usable:"
    said = str(error.value).splitlines()[:-1]
    assert said[:5] == [
        "6 problems in the legend:",
        f"{start}0_exp.npy' {names} it is not there",
        f"{start}1_exp.npy' {names} expected one number or text, found object of shape ()",
        f"{start}2_exp.npy' {names} it is cut off",
        f"{start}3_exp.npy' {names} it is no .npy file",
    ]
    assert said[5].startswith(f"{start}4_exp.npy' {names} unknown expression 'x'; expected one of 0 neutral")
    assert said[6].endswith(f"5_val.npy' {names} expected one number or text, found float64 of shape (3,)")
