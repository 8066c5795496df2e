"""An audit finds what was put into a data set."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from PIL import Image

from fer_lightning.audit import files
from fer_lightning.audit.audit import CHECKS, DataOptions, audit
from fer_lightning.audit.findings import DataSet, Finding
from fer_lightning.data.legend_lists import make_legend
from fer_lightning.data.sources.legend_csv import read_legend
from fer_lightning.errors import FERError


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
    assert not re.search(r'(src|href)="(?!data:|#)', page)  # it opens offline
    named = set(re.findall(r'<h2 id="([^"]*)"', page))
    assert named == {"data", "classes", "examples", *found}
    assert set(re.findall(r'href="#([^"]*)"', page)) == named  # the contents name every section
    assert page.count("<th") == page.count("<th scope=") + page.count("<thead")
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
    root = make_data([(f"p{number}_1.png", "jolly") for number in range(20)])
    with (root / "legend.csv").open("a") as legend:
        legend.write("tester,gone.png,jolly\n")
    audit(DataOptions(str(root)), str(tmp_path / "out"))
    assert "knowing only 'jolly', without a mistake, in 100.0%" in findings(tmp_path / "out")["class_counts"]["title"]


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
    assert "24 identities, as the data set says; the most" in findings(tmp_path / "out")["identities"]["title"]
    assert "<dd>24, as the data set says</dd>" in (tmp_path / "out" / "report.html").read_text()


def test_the_folder_of_the_report_is_never_somebody_elses(faces, tmp_path):
    data = DataOptions(root=str(faces))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "images.csv").write_text("mine")
    for output, said in (
        (tmp_path / "mine", "files in it that are not ours"),
        (faces, "holds what is read"),
        (tmp_path, "holds what is read"),
        (faces / "legend.csv", "Expected a folder"),
    ):
        with pytest.raises(FERError, match=rf"--output\. .*{said}"):
            audit(data, str(output))
    assert (tmp_path / "mine" / "images.csv").read_text() == "mine"
    assert sorted(path.name for path in faces.iterdir()) == ["checksum.txt", "images", "legend.csv"]
    audit(data, str(tmp_path / "mine"), fail_on="never", overwrite=True)
    audit(data, str(tmp_path / "mine"), fail_on="never")  # it is an audit's now
    assert len((tmp_path / "mine" / "images.csv").read_text().splitlines()) == 193


def test_a_full_disk_leaves_the_earlier_report(faces, tmp_path):
    """On a real file system of 1.5 MB, where this process may mount one."""
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system is not allowed here")
    try:
        audit(DataOptions(root=str(faces)), str(small / "out"), fail_on="never")
        before = {path.name: path.read_bytes() for path in (small / "out").iterdir()}
        room = shutil.disk_usage(small).free
        (small / "big").write_bytes(bytes(room - 8192))
        with pytest.raises(OSError, match="No space left"):
            audit(DataOptions(root=str(faces)), str(small / "out"), fail_on="never")
        assert {path.name: path.read_bytes() for path in (small / "out").iterdir()} == before
        with pytest.raises(OSError, match="No space left"):
            audit(DataOptions(root=str(faces)), str(small / "new"), fail_on="never")
        assert sorted(path.name for path in small.iterdir()) == ["big", "out"]
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_folders_that_may_not_be_read_are_said(make_data):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        root = make_data([(f"{number}.png", ("jolly", "fear")[number % 2]) for number in range(4)], Path(folder, "set"))
        legend = read_legend(root / "legend.csv", root / "images")
        (root / "images" / "closed").mkdir(mode=0)
        user = os.geteuid()
        try:
            os.seteuid(65534 if user == 0 else user)  # root may read everything
            (found,) = files.unlabelled(DataSet(legend, {}, "grouped", [], 8, None))
            with pytest.raises(FERError, match=r"closed/x.png' is in a folder that cannot be read: Permission denied"):
                make_legend(root / "images", ["closed/x.png", "0.png"], ["jolly", "fear"])
        finally:
            os.seteuid(user)
    assert (found.name, found.rows) == ("unreadable_folders", [("closed", "Permission denied")])
