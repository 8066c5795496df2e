"""Words for expressions, and numbers for classes."""

from __future__ import annotations

import pytest

from fer_lightning.data.label_words import class_among, classes_of, expression_of
from fer_lightning.data.legend import EXPRESSIONS
from fer_lightning.errors import FERError


def test_words_of_one_meaning():
    words = "angry Anger happy joy sad surprised scared fearful disgusted calm contemptuous"
    meant = classes_of(words.split(), None, "x")
    assert list(meant.values()) == [
        "anger", "anger", "happiness", "happiness", "sadness", "surprise", "fear", "fear", "disgust", "neutral",
        "contempt",
    ]  # fmt: skip
    assert all(expression_of(name) == name for name in EXPRESSIONS)
    assert expression_of("bored") == "bored"


def test_a_class_list_keeps_its_own_words():
    assert class_among("happiness", ("angry", "happy")) == "happy"
    assert class_among("angry", ("angry", "anger")) == "angry"
    assert class_among("bored", ("angry", "happy")) is None
    assert classes_of(["Joy", "ANGER", "bored"], ("angry", "happy"), "x") == {"Joy": "happy", "ANGER": "angry"}


def test_numbers_count_from_0_or_from_1():
    names = ("anger", "fear", "sadness")
    assert classes_of(["0", "2"], names, "x") == {"0": "anger", "2": "sadness"}
    assert classes_of(["1", "2", "3"], names, "x") == {"1": "anger", "2": "fear", "3": "sadness"}
    assert classes_of(["1", "2"], ("1", "2"), "x") == {"1": "1", "2": "2"}
    assert classes_of(["1", "two"], None, "x") == {"1": "1", "two": "two"}
    for labels, classes, said in (
        (["1", "2"], names, "may count the 3 classes from 0 or from 1"),
        (["0", "3"], names, "numbers from 0 to 3. Expected 0 to 2, or 1 to 3"),
        (["1", "4"], names, "numbers from 1 to 4"),
        (["0", "6", "1"], None, "the labels are numbers, 0, 1, 6, and what they mean is not known"),
    ):
        with pytest.raises(FERError, match=said):
            classes_of(labels, classes, "x")
