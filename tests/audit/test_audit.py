"""An audit finds what was put into a data set."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from fer_lightning.audit.duplicates import exact_duplicates, near_duplicates
from fer_lightning.audit.label_errors import confident_learning
from fer_lightning.audit.shortcuts import shortcuts
from fer_lightning.data.image_metadata import read_metadata
from fer_lightning.data.sources.legend_csv import read_legend
from fer_lightning.data.sources.synthetic import draw_face
from fer_lightning.evaluation.predictions import Predictions
from tests.conftest import run_here


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

    with pytest.raises(SystemExit, match="1"):
        run_here("audit", "--data.root", faces, "--output", "out", cwd=tmp_path)
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


def test_a_clean_data_set_passes(faces, tmp_path):
    run_here("audit", "--data.root", faces, "--output", "out", cwd=tmp_path)
    assert not {"bad_rows", "unreadable_images", "exact_duplicates"} & set(findings(tmp_path / "out"))
    with pytest.raises(SystemExit, match="1"):
        run_here("audit", "--data.root", faces, "--output", "out", "--fail_on", "warning", cwd=tmp_path)
    run_here("audit", "--data.root", faces, "--output", "out", "--fail_on", "never", cwd=tmp_path)


def test_near_duplicates_survive_resizing_compression_and_light(tmp_path):
    paths = []
    for number in range(40):
        face = draw_face("fear", (3, number), 0)
        face.save(tmp_path / f"{number:02d}.png")
        paths.append(tmp_path / f"{number:02d}.png")
    face = draw_face("fear", (3, 7), 0)
    for name, changed in (("a.jpg", face.resize((70, 70))), ("b.jpg", face.point(lambda value: value * 0.9))):
        changed.save(tmp_path / name, quality=85)
        paths.append(tmp_path / name)
    facts = read_metadata(paths)
    found = {(one, other) for one, other, _ in near_duplicates(facts)}
    assert {(7, 40), (7, 41)} <= found
    assert all({one, other} <= {7, 40, 41} for one, other in found)
    assert exact_duplicates(facts) == []


def test_confident_learning_finds_planted_label_errors():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 4, 2000)
    given = true.copy()
    wrong = rng.choice(2000, 200, replace=False)
    given[wrong] = (true[wrong] + rng.integers(1, 4, 200)) % 4
    probabilities = np.full((2000, 4), 0.08)
    probabilities[np.arange(2000), true] = 0.76
    probabilities = probabilities + rng.dirichlet(np.ones(4), 2000) * 0.1
    errors = confident_learning(given, probabilities / probabilities.sum(1, keepdims=True))
    suspects = set(errors.suspects.tolist())
    assert len(suspects & set(wrong.tolist())) > 190
    assert len(suspects - set(wrong.tolist())) < 10
    assert 1 - errors.joint.trace() == pytest.approx(0.1, abs=0.01)
    assert (errors.suggested[wrong] == true[wrong]).mean() > 0.95
    assert (np.diff(errors.suspicion[errors.suspects]) <= 0).all()


def test_a_shortcut_is_measured_and_noise_is_not_one(make_data):
    rng = np.random.default_rng(0)
    root = make_data([(f"{number}.png", ("anger", "joy")[number % 2]) for number in range(400)])
    legend = read_legend(root / "legend.csv", root / "images")
    leak = np.where(rng.random(400) < 0.9, legend.labels, 1 - legend.labels)
    found = {s.fact: s for s in shortcuts({"leak": leak, "noise": rng.integers(0, 5, 400)}, legend, legend.images)}
    assert found["leak"].accuracy == pytest.approx(0.9, abs=0.03)
    assert found["leak"].cramers_v == pytest.approx(0.8, abs=0.06)
    assert found["noise"].cramers_v < 0.12
    assert abs(found["noise"].accuracy - 0.5) < 0.08
    assert found["all together"].accuracy == pytest.approx(0.9, abs=0.03)


def test_suspects_go_back_into_fit_and_never_into_the_test(faces, tmp_path, capsys):
    legend = read_legend(faces / "legend.csv", faces / "images")
    names = legend.class_names
    probabilities = np.full((len(legend), 8), 0.02)
    probabilities[np.arange(len(legend)), legend.labels] = 0.86
    probabilities[:40] = 0.02
    probabilities[:40, 4] = 0.86  # a network that sees happiness in the first forty images
    people = [image[:10] for image in legend.images]
    Predictions(
        legend.images, legend.labels, probabilities, names, people, legend.users, np.zeros(len(legend), bool)
    ).write_csv(tmp_path / "predictions.csv")
    options = ["--data.root", faces, "--output", "out", "--predictions", "[predictions.csv]"]
    run_here("audit", *options, cwd=tmp_path)
    found = findings(tmp_path / "out")["label_errors"]
    suspects = list(csv.DictReader((tmp_path / "out" / "suspects.csv").open()))
    assert found["figures"]["suspects"] == len(suspects) == 35  # five of the forty are labelled happiness
    assert {row["suggested"] for row in suspects} == {"happiness"}

    from fer_lightning import FERDataModule

    plain = FERDataModule(str(faces))
    for option in ("exclude", "relabel"):
        data = FERDataModule(str(faces), **{option: str(tmp_path / "out" / "suspects.csv")})
        assert data.split.counts[2].tolist() == plain.split.counts[2].tolist()
        assert data.split.fingerprint != plain.split.fingerprint
        held = {row["image"] for row in suspects} & {
            image for image, part in zip(plain.split.legend.images, plain.split.parts, strict=True) if part != 2
        }
        change = data.split.counts.sum() - plain.split.counts.sum()
        assert change == (-len(held) if option == "exclude" else 0)
        if option == "relabel":
            assert data.split.counts[:2, 4].sum() - plain.split.counts[:2, 4].sum() == len(held)
