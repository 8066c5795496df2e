"""The box of an audit, and what it says of people and parts."""

from __future__ import annotations

import json

import pytest

from fer_lightning.audit.audit import DataOptions, audit


def audited(root, output, **options) -> tuple[dict[str, dict], list[tuple[str, str]]]:
    """Its findings by name, and the lines of its box."""
    audit(DataOptions(str(root), **options), str(output), fail_on="never")
    written = json.loads((output / "findings.json").read_text())
    return {item["name"]: item for item in written["findings"]}, [tuple(row) for row in written["overview"]]


def test_where_nobody_is_told_apart_it_is_not_known_who_is_tested(make_data, tmp_path):
    root = make_data([(f"img_{number:04d}.png", ("jolly", "fear")[number % 2]) for number in range(40)])
    found, box = audited(root, tmp_path / "out")
    assert found["shared_identities"]["title"].startswith("It is not known whether test images show a person from tr")
    assert "--data.identity" in found["shared_identities"]["remedy"]
    assert found["shared_identities"]["figures"] == {}
    notes = [text for heading, text in box if heading == "Note"]
    assert any(note.startswith("File names do not tell people apart (such as 'img_0000.png')") for note in notes)
    assert ("People", "not known: every image counts as a person of its own") in box
    assert found["identities"]["title"] == "No identity repeats in 40 images."


def test_notes_on_the_split_are_not_endless(make_data, tmp_path):
    root = make_data([(f"p{number}_1.png", f"class {number // 2}") for number in range(60)])
    _, box = audited(root, tmp_path / "out")
    notes = [text for heading, text in box if heading == "Note"]
    assert len(notes) == 21
    assert notes[-1].endswith(" more notes of this kind on the split: fit says all of them.")


@pytest.mark.parametrize("split", [None, "grouped"])
def test_what_to_do_about_a_class_without_training_images(make_data, tmp_path, split):
    labels = [("train", "jolly")] * 12 + [("train", "fear")] * 12 + [("test", "jolly")] * 4 + [("test", "anger")]
    root = make_data([(f"p{number}_1.png", label) for number, (_, label) in enumerate(labels)])
    header, *rows = (root / "legend.csv").read_text().splitlines()
    parts = (part for part, _ in labels)
    lines = [f"{header},split", *(f"{row},{part}" for row, part in zip(rows, parts, strict=True))]
    (root / "legend.csv").write_text("\n".join(lines) + "\n")
    found, _ = audited(root, tmp_path / "out", split=split)
    if split is None:
        said = found["classes_without_training_images"]
        assert said["title"] == "No training image of anger."
        assert said["remedy"].startswith("Choose another split (--data.split grouped), or leave the class out")
        assert "split_seed" not in said["remedy"]
    elif "classes_without_training_images" in found:
        assert "split_seed" in found["classes_without_training_images"]["remedy"]


def test_several_data_sets_are_examined_as_fit_takes_them(make_data, tmp_path):
    first = make_data([(f"p{number}_1.png", ("jolly", "fear")[number % 2]) for number in range(12)], tmp_path / "one")
    rows = [(f"q{number}_1.png", ("fear", "Sad")[number % 2]) for number in range(12)]
    second = make_data([*rows, ("q0_1.png", "fear")], tmp_path / "two")
    with open(second / "legend.csv", "a") as legend:
        legend.write("tester,gone.png,fear\n")
    audit(DataOptions([str(first), str(second)]), str(tmp_path / "out"), fail_on="never")
    content = json.loads((tmp_path / "out" / "findings.json").read_text())
    said = dict(content["overview"])
    assert said["Source"] == f"{first}/legend.csv, legend.csv and {second}/legend.csv, legend.csv"
    assert said["Images"] == "24; 1 row or file cannot be used"
    assert said["People"] == "24, told apart in each data set by itself"
    assert said["Classes"] == "3: fear, jolly, sadness (sad)"
    found = {one["name"]: one for one in content["findings"]}
    assert found["repeated_rows"]["rows"] == [["two/images/q0_1.png"]]
    assert found["exact_duplicates"]["figures"]["groups"] == 12  # the images are those of the first
    assert "unlabelled_images" not in found
    assert content["classes"] == ["fear", "jolly", "sadness"]
