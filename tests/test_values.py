from __future__ import annotations

import os

import pytest

from fer_lightning.values import ValuesError, flag_of, read_text, text_of, texts_of


def test_a_text_is_read_within_bounds(tmp_path):
    (tmp_path / "good").write_text("ä", encoding="utf-8")
    (tmp_path / "bytes").write_bytes(b"\xff")
    os.mkfifo(tmp_path / "pipe")
    with open(tmp_path / "large", "wb") as stream:
        stream.truncate(2**26 + 1)
    assert read_text(tmp_path / "good") == "ä"
    said = {}
    for name in ("bytes", "pipe", "large", "."):
        with pytest.raises(ValuesError) as found:
            read_text(tmp_path / name)
        said[name] = str(found.value)
    assert said == {
        "bytes": "it is not text in UTF-8",
        "pipe": "it is a device or a pipe, not a file",
        "large": "it has 67,108,865 bytes, more than the 67,108,864 that are read",
        ".": "it is a folder",
    }


def test_values_under_names_have_defaults_and_bounds():
    values = {"yes": True, "word": "yes", "long": "x" * 1001, "words": ["a", "x" * 1001]}
    assert (flag_of(values, "yes"), flag_of(values, "no")) == (True, False)
    assert (text_of(values, "no"), text_of(values, "no", "else"), texts_of(values, "no")) == ("", "else", ())
    assert len(text_of(values, "long", longest=2000)) == 1001
    for found, message in (
        (lambda: flag_of(values, "word"), "word has to be true or false, and is 'yes'"),
        (lambda: text_of(values, "long"), "long has to be a text of at most 1,000 characters"),
        (lambda: texts_of(values, "words"), r"words\[1\] has to be a text of at most 1,000 characters"),
    ):
        with pytest.raises(ValuesError, match=message):
            found()
