"""What is printed fits 80 columns."""

from __future__ import annotations

import shlex

import pytest

from fer_lightning.screen import WIDTH, say, wrapped
from tests.conftest import TINY, run_here


def test_a_sentence_is_broken_between_words_beneath_its_beginning():
    text = "Note   " + "some word-with-hyphens and --data.options " * 4
    first, *others = wrapped(text.rstrip()).split("\n")
    assert len(others) >= 1
    assert max(map(len, (first, *others))) <= WIDTH
    assert all(line.startswith("       ") and line[7] != " " for line in others)
    assert " ".join(line.strip() for line in (first, *others)).split() == text.split()


def test_short_lines_and_tables_stay_as_they_are():
    table = "anger" + "  12" * 40
    for text in ("", "short\n\nlines  ", table, f"       {table}"):
        assert wrapped(text) == text


def test_a_word_is_never_broken():
    path = "runs/" + "x" * 100
    assert wrapped(f"       model card in {path}") == f"       model card in\n       {path}"


def test_a_command_can_be_copied(capsys):
    words = ["python", "train.py", "test", "--ckpt_path", f"runs/{'x' * 60}/checkpoints/best.ckpt"]
    say(f"Next   {shlex.join(words)}")
    said = capsys.readouterr().out
    assert said.count(" \\\n") == 1
    assert shlex.split(said.removeprefix("Next").replace("\\\n", "")) == words


@pytest.mark.slow
def test_every_verb_fits_80_columns(drawn, tmp_path, capsys):
    data = ["--data.root", drawn, *TINY, "--trainer.max_epochs", "1"]
    for words in (
        ["fit", "--name", "one", *data],
        ["fit", "--name", "two", "--seed_everything", "1", *data],
        ["test", "--name", "one", "--ckpt_path", "best"],
        ["test", "--name", "two", "--ckpt_path", "best"],
        ["validate", "--name", "one", "--ckpt_path", "best"],
        ["compare", "one", "two"],
        ["crossval", "--folds", "2", *data],
        ["audit", "--data.root", drawn, "--fail_on", "never"],
        ["predict", drawn / "images", "--faces", "whole", "--name", "one", "--output", "rows.csv"],
        ["predict", drawn / "images" / "person_000_00.png", "--faces", "whole"],
        ["estimate_prior", "--rows", "rows.csv"],
        ["export", "--name", "one", "--ckpt_path", "best", "--output", "one.safetensors"],
    ):
        run_here(*words, cwd=tmp_path)
        said = capsys.readouterr().out
        lines = [line.rstrip() for line in said.split("\n") if not line.startswith("Epoch ")]  # that is for logs
        assert any(lines), words
        assert "`" not in said, words
        long = [line.split() for line in lines if len(line) > WIDTH]
        assert [words for words in long if max(map(len, words)) < 50] == [], words  # a path may be longer than a line
