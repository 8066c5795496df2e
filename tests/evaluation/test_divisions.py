"""Columns become groups of images."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fer_lightning import FERError
from fer_lightning.data.image_metadata import ImageMetadata
from fer_lightning.evaluation.divisions import check_slices, divisions_of


def groups_of(predictions, cells: list[str], chosen=None) -> tuple[dict[str, int], tuple[str, ...]]:
    """The groups that a column `x` makes of the first images, with their sizes."""
    some = replace(predictions.take(range(len(cells))), attributes={"x": cells})
    found, notes = divisions_of(some, None, chosen)
    return {
        name: int((one.codes == number).sum())
        for one in found
        if one.attribute == "x"
        for number, name in enumerate(one.names)
    }, notes


def test_each_text_is_a_group_the_largest_first(predictions):
    cells = ["m", " f", "f", "", "x", "f ", " "]
    assert groups_of(predictions, cells) == ({"f": 3, "m": 1, "x": 1, "not stated": 2}, ())
    assert groups_of(predictions, ["f"] * 5) == ({}, ())  # all of them are no slice


def test_many_numbers_are_ranges_of_about_equal_numbers_of_images(predictions):
    ages = [str(age) for age in range(18, 30)]
    assert groups_of(predictions, ages)[0] == {"18 to 20": 3, "21 to 23": 3, "24 to 26": 3, "27 to 29": 3}
    found = groups_of(predictions, ["", *ages, "29", "29.0"])[0]
    assert found == {"18 to 20": 3, "21 to 24": 4, "25 to 27": 3, "28 to 29": 4, "not stated": 1}
    for numbers, first in (([-n / 4 for n in range(12)], "-2.75 to -2.25"), (range(10**9, 10**9 + 12), None)):
        names = list(groups_of(predictions, [str(number) for number in numbers])[0])
        assert names[0] == (first or "1000000000 to 1000000002")
    few = groups_of(predictions, [str(n % 10) for n in range(40)])[0]
    assert few == {str(n): 4 for n in range(10)}  # ten numbers are a group each
    most_alike = groups_of(predictions, ["5"] * 40 + [str(n) for n in range(10, 20)])[0]
    assert sum(most_alike.values()) == 50
    assert most_alike["5"] == 40


@pytest.mark.parametrize("odd", ["inf", "nan", "1_0", "12 years"])
def test_what_is_no_number_makes_texts(predictions, odd):
    assert odd in groups_of(predictions, [odd, *(str(n) for n in range(12))])[0]


def test_many_texts_are_no_slices_unless_chosen_and_it_is_said(predictions):
    cells = [f"site {number % 21}" for number in range(42)]
    found, notes = groups_of(predictions, cells)
    assert found == {}
    assert notes == ("'x' has 21 different values: no slices, unless --slices '[x]' asks.",)
    found, notes = groups_of(predictions, cells, ["x"])
    assert found == {f"site {number}": 2 for number in range(21)}
    assert notes == ()


def test_of_hundreds_of_columns_the_first_are_slices(predictions):
    many = replace(predictions, attributes={f"x{number}": ["a", "b"] * 30 for number in range(136)})
    found, notes = divisions_of(many, None)
    assert [one.attribute for one in found if one.kind == "column"] == [f"x{number}" for number in range(50)]
    assert notes == ("There are 136 columns: slices of the first 50, unless --slices asks.",)
    assert [one.attribute for one in divisions_of(many, None, ["x99"])[0]] == ["x99"]


def test_columns_are_told_from_what_is_built_in(predictions):
    columns = {name: ["a", "b"] * 30 for name in ("format", "column:format", "gender")}
    files = [ImageMetadata(format="PNG", mode="L", width=30, height=50 + number) for number in range(60)]
    files[0] = ImageMetadata(format="PNG", mode="RGB", width=250, height=50, color=True)
    found, _ = divisions_of(replace(predictions, attributes=columns), files)
    known = {one.attribute: (one.kind, one.names) for one in found}
    assert known == {
        "column:format": ("column", ("a", "b")),
        "column:column:format": ("column", ("a", "b")),
        "gender": ("column", ("a", "b")),
        "user.id": ("annotator", ("you", "me")),
        "person seen in training": ("file", ("no", "yes")),
        "color": ("file", ("gray", "color")),
        "shorter side": ("file", ("below 48 px", "48 to 95 px")),
        "format": ("file", ("PNG L", "PNG RGB")),
    }
    chosen, _ = divisions_of(replace(predictions, attributes=columns), files, ["format", "gender"])
    assert [one.attribute for one in chosen] == ["gender", "format"]


def test_an_unknown_name_is_refused_with_those_there_are():
    with pytest.raises(FERError, match=r"--slices. Expected some of: age, gender, color, shorter side.* 'gendr'"):
        check_slices(["age", "gendr"], ["age", "gender"])
    with pytest.raises(FERError, match=r"person seen in training \(the data set has no further columns\)"):
        check_slices(["gender"], [])
    with pytest.raises(FERError, match=r"some of: gender, user.id, person seen in training. Received: 'color'"):
        check_slices(["color"], ["gender"], files=False)
    check_slices(None, [])
    check_slices(["color", "gender"], ["gender"])


def test_annotators_without_a_name_are_not_stated(predictions):
    users = ["" if row % 2 else "eve" for row in range(60)]
    found = divisions_of(replace(predictions, users=users), None)[0]
    assert next(one.names for one in found if one.attribute == "user.id") == ("eve", "not stated")


def test_sizes_are_groups_of_their_own_in_the_order_of_numbers(predictions):
    sides = [400, 384, 383, 192, 191, 96, 95, 48, 47, 1]
    files = [ImageMetadata(format="PNG", mode="L", width=side, height=500) for side in sides * 6]
    (found,), _ = divisions_of(predictions, files, ["shorter side"])
    assert found.names == ("below 48 px", "48 to 95 px", "96 to 191 px", "192 to 383 px", "384 px or more")
    assert found.codes.tolist() == [4, 4, 3, 3, 2, 2, 1, 1, 0, 0] * 6


def test_a_few_numbers_stand_in_their_order(predictions):
    cells = ["10"] * 30 + ["9.5"] * 5 + ["-1"] * 5 + [""] * 20
    (found,), _ = divisions_of(replace(predictions, attributes={"age": cells}), None, ["age"])
    assert found.names == ("-1", "9.5", "10", "not stated")
