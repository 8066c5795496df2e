"""An audit finds what was put into a data set."""

from __future__ import annotations

import csv
import json
import shutil

import pytest
from PIL import Image

from fer_lightning.audit.audit import CHECKS, DataOptions, audit
from fer_lightning.audit.findings import Finding


@pytest.fixture
def faces(drawn, tmp_path):
    return shutil.copytree(drawn, tmp_path / "faces")


def findings(folder) -> dict[str, dict]:
    return {item["name"]: item for item in json.loads((folder / "findings.json").read_text())["findings"]}


def test_every_planted_fault_is_found(faces, tmp_path, capsys):
    images = faces / "images"
    shutil.copy(images / "person_000_00.png", images / "twin_1.png")
    Image.open(images / "person_001_00.png").resize((90, 90)).save(images / "cousin_1.jpg", quality=95)
    Image.open(images / "person_002_00.png").save(images / "really.webp")
    (images / "really.webp").rename(images / "disguised_1.jpg")
    (images / "cut_1.png").write_bytes((images / "person_003_00.png").read_bytes()[:2000])
    Image.new("RGB", (10, 12), "red").save(images / "tiny_1.png")
    Image.new("RGB", (10, 12), "red").save(images / "nameless.png")
    rows = ["drawn,twin_1.png,Anger", "drawn,cousin_1.jpg,anger", "drawn,disguised_1.jpg,fear", "drawn,cut_1.png,fear"]
    rows += [
        "drawn,tiny_1.png,fear",
        "drawn,gone.png,fear",
        "drawn,person_004_00.png,fear",
        "drawn,person_005_00.png,anger",
    ]
    with (faces / "legend.csv").open("a") as legend:
        legend.write("\n".join(rows) + "\n")

    assert audit(DataOptions(str(faces)), str(tmp_path / "out")).failed
    found = findings(tmp_path / "out")
    assert found["bad_rows"]["rows"] == [["199", f"the image 'gone.png' is not a file in '{images}'"]]
    assert found["unreadable_images"]["rows"][0][0] == "cut_1.png"
    assert found["conflicting_labels"]["rows"] == [["person_004_00.png", "anger, fear"]]
    assert found["repeated_rows"]["rows"] == [["person_005_00.png"]]
    assert found["label_spellings"]["figures"] == {"spellings": 9, "labels": 8}
    assert found["unlabelled_images"]["rows"] == [["nameless.png"]]
    assert found["mislabelled_formats"]["rows"] == [["disguised_1.jpg", "WEBP"]]
    assert ["tiny_1.png", "10 x 12"] in found["small_images"]["rows"]
    assert [row[0] for row in found["exact_duplicates"]["rows"]] == ["person_000_00.png = twin_1.png"]
    pairs = {row[0] for row in found["near_duplicates"]["rows"]}
    assert {"person_001_00.png = cousin_1.jpg", "person_002_00.png = disguised_1.jpg"} & pairs
    assert found["identities"]["figures"]["identities"] == 12 + 5
    assert found["shared_identities"]["figures"]["shared_grouped"] == 0
    assert found["shared_identities"]["figures"]["shared_stratified"] > 0.9
    said = capsys.readouterr().out
    assert "serious  1 row of the legend cannot be used." in said
    page = (tmp_path / "out" / "report.html").read_text()
    assert 'src="data:image/jpeg;base64,' in page
    assert 'href="' not in page
    kinds = {row["finding"] for row in csv.DictReader((tmp_path / "out" / "findings.csv").open())}
    assert kinds == set(found)


def test_a_clean_data_set_passes(faces, tmp_path, workdir):
    for grave, failed in (("serious", False), ("warning", True), ("never", False)):
        assert audit(DataOptions(str(faces)), "out", fail_on=grave).failed is failed
    assert not {"bad_rows", "unreadable_images", "exact_duplicates"} & set(findings(tmp_path / "out"))
    assert (tmp_path / "out/duplicates.csv").read_text().splitlines()[0] == "image"
    assert not (tmp_path / "out/label_issues.csv").exists()


def test_one_copy_of_each_image_stays_and_the_test_keeps_its_own(faces, tmp_path):
    for number in range(12):
        shutil.copy(faces / f"images/person_{number:03d}_00.png", faces / f"images/twin_{number}.png")
    with (faces / "legend.csv").open("a") as legend:
        legend.writelines(f"drawn,twin_{number}.png,anger\n" for number in range(12))
    audit(DataOptions(str(faces)), str(tmp_path / "out"))
    listed = {row["image"] for row in csv.DictReader((tmp_path / "out/duplicates.csv").open())}
    subset_of = {row["image"]: row["split"] for row in csv.DictReader((tmp_path / "out/split.csv").open())}
    found = findings(tmp_path / "out")["exact_duplicates"]
    assert found["figures"]["groups"] == 12
    across = 0
    for images in (row[0].split(" = ") for row in found["rows"]):
        assert len(set(images) & listed) == 1
        subsets = {subset_of[image] for image in images}
        if len(subsets) > 1 and "testing" in subsets:
            across += 1
            assert subset_of[(set(images) & listed).pop()] != "testing"
    assert found["figures"]["across_the_split"] == across > 0
    assert found["severity"] == "serious"
    assert found["exhibits"][0]["images"] == found["rows"][0][0].split(" = ")


def test_a_check_costs_one_entry(faces, tmp_path, monkeypatch):
    def check(data):
        yield Finding("many_images", "info", f"There are {len(data.legend)} images.", rows=[(data.legend.images[0],)])

    monkeypatch.setattr("fer_lightning.audit.audit.CHECKS", [*CHECKS, check])
    audit(DataOptions(str(faces)), str(tmp_path / "out"))
    assert findings(tmp_path / "out")["many_images"]["title"] == "There are 192 images."
    assert "There are 192 images." in (tmp_path / "out/report.html").read_text()


def test_a_legend_whose_bad_rows_leave_one_class_is_examined_too(make_data, tmp_path):
    root = make_data([(f"p{number}_1.png", "joy") for number in range(20)])
    with (root / "legend.csv").open("a") as legend:
        legend.write("tester,gone.png,joy\n")
    audit(DataOptions(str(root)), str(tmp_path / "out"))
    assert "knowing only 'joy', without a mistake, in 100.0%" in findings(tmp_path / "out")["class_counts"]["title"]


def test_a_picture_of_several_frames_in_a_jpg_is_no_mislabelled_format(faces, tmp_path):
    first = Image.open(faces / "images/person_000_00.png").convert("RGB")
    first.save(faces / "images/phone_1.jpg", format="MPO", save_all=True, append_images=[first])
    with open(faces / "legend.csv", "a", encoding="utf-8") as stream:
        stream.write("drawn,phone_1.jpg,anger\n")
    audit(DataOptions(root=str(faces)), output=str(tmp_path / "out"), fail_on="never")
    assert "mislabelled_formats" not in findings(tmp_path / "out")


def test_it_says_where_the_people_are_from_under_every_rule(faces, tmp_path):
    legend = faces / "legend.csv"
    header, *rows = legend.read_text().splitlines()
    lines = [f"{header},identity", *(f"{row},somebody {n // 8}" for n, row in enumerate(rows))]
    legend.write_text("\n".join(lines) + "\n")
    audit(DataOptions(root=str(faces), split="stratified"), output=str(tmp_path / "out"), fail_on="never")
    assert "taken from the column 'identity'" in findings(tmp_path / "out")["identities"]["title"]
