"""Who is in an image, by its name: any regular expression, and never for ever."""

from __future__ import annotations

import time

import pytest

from fer_lightning.data import identities
from fer_lightning.data.identities import identities_of, told_apart
from fer_lightning.errors import FERError

NAMES = ["b/George_W_Bush_0012.jpg", "ann_1.png", "odd.png", "\udcff_1.png"]


def test_the_usual_pattern_and_ones_own():
    assert identities_of(NAMES) == ["George_W_Bush", "ann", "odd.png", "\udcff"]
    assert identities_of(NAMES, r"^(?:.*/)?(.+)_\d+\.[^.]+$|never") == identities_of(NAMES)
    assert identities_of(NAMES, "[a-z]+") == ["b", "ann", "odd", "\udcff_1.png"]
    assert identities_of(NAMES, "(x)?") == NAMES
    assert identities_of(NAMES, "^") == NAMES


@pytest.mark.parametrize(
    "pattern", ["(", "(?P<a>x)(?P<a>y)", "(" * 20_000 + ")" * 20_000, "a{99999999999999999999}", "\\"]
)
def test_what_is_no_regular_expression(pattern):
    with pytest.raises(FERError, match=r"--data\.identity. Expected a regular expression") as refused:
        identities_of(NAMES, pattern)
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize("pattern", ["(a+)+$", "(.*a){20}$"])
def test_a_pattern_that_takes_years_is_stopped(pattern, monkeypatch):
    monkeypatch.setattr(identities, "_SECONDS", 1)
    began = time.monotonic()
    with pytest.raises(FERError, match=r"which takes more than 1 seconds"):
        identities_of(["a" * 60 + "b.png"], pattern)
    assert time.monotonic() - began < 20


def test_what_names_nobody_is_nobody():
    names = ["a/Training_123.jpg", "Training_7.jpg", "IMG_0001.JPG", "anger_0001.jpg", "frame_12.png", "ann_3.png"]
    who, said = told_apart(names)
    assert who == [*names[:5], "ann"]
    assert "'a/Training_123.jpg'" in said
    assert "5 images count as people of their own" in said
    assert "--data.identity" in said
    assert told_apart(names, "(.)")[0] == ["a", "T", "I", "a", "f", "a"]


def test_a_handful_of_people_with_many_images_each_is_no_answer():
    names = [f"{who}_{number}.jpg" for who in ("cam1", "cam2") for number in range(30)]
    who, said = told_apart(names)
    assert who == names
    assert "would be 30 images): every image counts as a person of its own" in said
    many = [f"p{who}_{number}.jpg" for who in range(11) for number in range(30)]
    assert told_apart(many) == ([name.partition("_")[0] for name in many], "")


def test_words_for_expressions_are_no_part_of_a_name_but_joy_may_be_one():
    assert told_apart(["S1_anger_01.jpg", "S1_happy_02.jpg", "sad_S2_1.jpg"]) == (["S1", "S1", "S2"], "")
    assert told_apart(["Joy_Lee_01.jpg", "Ann_Lee_02.jpg", "Bo_1.jpg"]) == (["Joy_Lee", "Ann_Lee", "Bo"], "")


def test_people_in_the_names_of_published_data_sets():
    who, said = told_apart(["anger/S010_004_00000017.png", "S010_002_00000014.png", "fear/S999_001_00000018.png"])
    assert who == ["S010", "S010", "S999"]
    assert "CK+" in said


def test_many_signs_in_a_row_take_no_time():
    began = time.monotonic()
    who, _ = told_apart([f"photo{'_' * 5000}ben_{number}.jpg" for number in range(3)])
    assert len(set(who)) == 1
    assert time.monotonic() - began < 2
