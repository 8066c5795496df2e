"""Data sets whose file names say who shows what."""

from __future__ import annotations

import pytest
from PIL import Image

from fer_lightning.data.legend import SUBSETS
from fer_lightning.data.legend_check import check_legend
from fer_lightning.data.sources.file_names import NAMINGS, FileNames
from fer_lightning.errors import FERError


def images(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4)).save(root / name)
    return root


def read(root, **options):
    """By image: the label, who it is, and the attributes."""
    assert FileNames.fits(root)
    source = FileNames(str(root), **options)
    legend = check_legend(source.read(), source)
    labels = [legend.class_names[label] for label in legend.labels]
    further = [
        dict(zip(legend.attributes, values, strict=True)) for values in zip(*legend.attributes.values(), strict=True)
    ]
    found = zip(labels, legend.identities, further or [{}] * len(legend), strict=True)
    return dict(zip(legend.images, found, strict=True)), source, legend


def test_jaffe(tmp_path):
    names = [f"KA.{code}1.39.tiff" for code in ("AN", "DI", "FE", "HA", "NE", "SA", "SU")]
    found, source, legend = read(images(tmp_path, *names, "YM.HA2.53.tiff"))
    labels = ["anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"]
    assert [found[name] for name in names] == [(label, "KA", {}) for label in labels]
    assert found["YM.HA2.53.tiff"] == ("happiness", "YM", {})
    assert (source.name, legend.class_names, legend.declared) == ("JAFFE", tuple(labels), None)
    assert legend.format == "JAFFE (file names such as KA.AN1.39.tiff)"
    assert legend.notes == ("The file names tell who, what.",)


def test_kdef_in_a_folder_for_each_person(tmp_path):
    codes = ("AF", "AN", "DI", "HA", "NE", "SA", "SU")
    names = [f"AF01/AF01{code}S.JPG" for code in codes]
    views = [f"BM35/BM35NE{view}.JPG" for view in ("HL", "HR", "FL", "FR")]
    found, source, legend = read(images(tmp_path, *names, *views, "BF01/BF01ANS.JPG", "AF31/AF31V.JPG"))
    labels = ["fear", "anger", "disgust", "happiness", "neutral", "sadness", "surprise"]
    a = {"session": "A", "gender": "female", "view": "straight"}
    assert [found[name] for name in names] == [(label, "F01", a) for label in labels]
    assert found["BF01/BF01ANS.JPG"] == ("anger", "F01", {**a, "session": "B"})
    assert [found[name][1] for name in views] == ["M35"] * 4
    assert [found[name][2]["view"] for name in views] == ["half left", "half right", "full left", "full right"]
    assert found[views[0]][2]["gender"] == "male"
    assert (source.name, len(legend)) == ("KDEF", 12)
    assert legend.notes[1] == "Left out: 1 image with another name, such as 'AF31/AF31V.JPG'."


def test_rafd(tmp_path):
    found, source, legend = read(
        images(
            tmp_path,
            "Rafd090_01_Caucasian_female_angry_frontal.jpg",
            "Rafd000_73_Moroccan_male_contemptuous_left.jpg",
            "._Rafd000_73_Moroccan_male_contemptuous_left.jpg",
        )
    )
    assert found == {
        "Rafd090_01_Caucasian_female_angry_frontal.jpg": (
            "anger",
            "01",
            {"angle": "090", "race": "Caucasian", "gender": "female", "gaze": "frontal"},
        ),
        "Rafd000_73_Moroccan_male_contemptuous_left.jpg": (
            "contempt",
            "73",
            {"angle": "000", "race": "Moroccan", "gender": "male", "gaze": "left"},
        ),
    }
    assert (source.name, legend.class_names) == ("RaFD", ("anger", "contempt"))


def test_faces_cfd_nimstim(tmp_path):
    found, *_ = read(images(tmp_path / "faces", "004_o_m_a_a.jpg", "140_y_f_s_b.jpg"))
    assert found["004_o_m_a_a.jpg"] == ("anger", "004", {"age": "old", "gender": "male", "set": "a"})
    assert found["140_y_f_s_b.jpg"] == ("sadness", "140", {"age": "young", "gender": "female", "set": "b"})
    found, *_ = read(images(tmp_path / "cfd", "BF-001/CFD-BF-001-025-HC.jpg", "WM-009/CFD-WM-009-002-N.jpg"))
    assert found["BF-001/CFD-BF-001-025-HC.jpg"] == ("happiness", "BF-001", {"race": "Black", "gender": "female"})
    assert found["WM-009/CFD-WM-009-002-N.jpg"] == ("neutral", "WM-009", {"race": "White", "gender": "male"})
    found, *_ = read(images(tmp_path / "nim", "01F_AN_C.BMP", "20M_SP_O.BMP", "20M_CA_O.BMP"))
    assert found["01F_AN_C.BMP"] == ("anger", "01F", {"gender": "female", "mouth": "closed"})
    assert [found[name][0] for name in ("20M_SP_O.BMP", "20M_CA_O.BMP")] == ["surprise", "neutral"]


@pytest.mark.parametrize("naming", NAMINGS, ids=lambda naming: naming.name)
def test_a_name_is_of_one_data_set(tmp_path, naming):
    stem = naming.example.rpartition(".")[0]
    assert [one.name for one in NAMINGS if one.pattern.fullmatch(stem)] == [naming.name]


def test_other_names_and_files_that_cannot_be_used(tmp_path):
    root = images(tmp_path / "jaffe", *(f"KA.{code}1.{number}.tiff" for code in ("AN", "DI") for number in range(4)))
    images(root, "a.png")
    assert not FileNames.fits(root)  # eight of nine
    with pytest.raises(
        FERError, match=r"--data.root. Expected a folder with images that are named such as KA.AN1.39.tiff"
    ):
        FileNames(str(root)).read()
    (root / "a.png").rename(tmp_path / "a.png")
    (root / "KA.DI1.9.tiff").symlink_to(tmp_path / "a.png")
    with pytest.raises(FERError) as error:
        FileNames(str(root)).read()
    said = "is a link to a file outside the image folder; --data.follow_links true takes it"
    assert str(error.value).splitlines()[1] == f"  {root}: the image 'KA.DI1.9.tiff' {said}"
    assert len(FileNames(str(root), on_error="drop").read()) == 8
    assert len(FileNames(str(root), follow_links=True).read()) == 9
    for path in (tmp_path / "none", tmp_path / "a.png"):
        assert not FileNames.fits(path)


KDEF = [f"{part}/{name}" for part, name in (("train", "anger/AF01ANS.JPG"), ("test", "fear/AF02AFS.JPG"))]


def test_folders_for_parts_are_the_split(tmp_path):
    *_, legend = read(images(tmp_path / "a", *KDEF))
    found = zip(legend.images, legend.declared, strict=True)
    assert {image: SUBSETS[part] for image, part in found} == {KDEF[0]: "training", KDEF[1]: "testing"}
    *_, legend = read(images(tmp_path / "b", "a/Train/AF01ANS.JPG", "b/Test/AF02AFS.JPG"))
    assert [SUBSETS[part] for part in legend.declared] == ["training", "testing"]
    for number, more in enumerate(("AF03ANS.JPG", "more/AF03ANS.JPG")):  # in no part
        assert read(images(tmp_path / f"c{number}", *KDEF, more))[2].declared is None
    one = images(tmp_path / "d", "train/anger/AF01ANS.JPG", "train/fear/AF02AFS.JPG")
    assert read(one)[2].declared is None  # there is nothing else


def test_what_is_hidden_is_no_image(tmp_path):
    junk = (".thumbs/AF01ANS.JPG", "train/.Trash/AF01ANS.JPG", "train/anger/._AF01ANS.JPG", "__MACOSX/AF01ANS.JPG")
    found, *_, legend = read(images(tmp_path, *junk, *KDEF))
    assert sorted(found) == sorted(KDEF)
    assert legend.declared is not None
    assert not legend.warnings


def test_folders_behind_links_are_followed_when_asked_for_and_never_in_circles(tmp_path):
    store = images(tmp_path / "store", "KA.AN1.39.tiff", "KA.HA1.40.tiff")
    root = images(tmp_path / "root", "YM.HA2.53.tiff", "YM.SA2.54.tiff")
    (root / "more").symlink_to(store)
    (root / "again").symlink_to(root)
    assert len(FileNames(str(root)).read()) == 2
    names = ["YM.HA2.53.tiff", "YM.SA2.54.tiff", "more/KA.AN1.39.tiff", "more/KA.HA1.40.tiff"]
    assert sorted(FileNames(str(root), follow_links=True).read().images) == names
