"""The front door, in real processes and from Python."""

from __future__ import annotations

import subprocess
import sys

import pytest
from PIL import Image

import fer_lightning
from fer_lightning.cli.commands import VERBS
from fer_lightning.cli.main import main
from tests.conftest import PROJECT

SLOW_TO_IMPORT = ("torch", "jsonargparse", "lightning", "numpy", "yaml")


def light(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the front door in a process of its own, which fails if it imports what takes long."""
    code = (
        "import sys; from fer_lightning.cli.main import main\n"
        f"try: main({list(words)})\n"
        f"finally: assert not set(sys.modules) & set({SLOW_TO_IMPORT}), 'slow'"
    )
    return subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("help",)])
def test_the_overview_answers_at_once(words):
    done = light(*words)
    assert done.returncode == 0, done.stderr
    assert all(f"\n  {verb:<16}{command.summary}\n" in done.stdout for verb, command in VERBS.items())


def test_the_version_answers_at_once():
    done = light("--version")
    assert (done.returncode, done.stdout) == (0, f"fer_lightning {fer_lightning.__version__}\n")


@pytest.mark.parametrize("verb", [*VERBS, "shares"])
def test_the_help_of_a_verb_answers_at_once(verb):
    done = light(verb, "--name", "mine", "--help")
    assert done.returncode == 0, done.stderr
    assert f"{VERBS.get(verb, VERBS['estimate_prior']).summary}" in " ".join(done.stdout.split())
    assert (done.stderr == "") == (verb != "shares")


def test_an_unknown_verb_answers_at_once():
    done = light("prdict", "--help")
    assert done.returncode == 2
    assert "Unknown verb 'prdict'. Did you mean predict? Expected one of fit, validate," in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "program"),
    [
        (["train.py"], "python train.py"),
        pytest.param(["-m", "fer_lightning"], "python -m fer_lightning", marks=pytest.mark.slow),
        (
            ["-c", "import sys; sys.argv[0] = 'C:\\\\bin\\\\fer.exe'; import fer_lightning.cli.main as m; m.main()"],
            "fer",
        ),
    ],
)
def test_hints_name_the_program_that_was_called(words, program):
    done = subprocess.run(
        [sys.executable, *words, "fit", "--data.rot", "x"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert f"Did you mean --data.root?\nAll options: {program} fit --help_all\n" in done.stderr


@pytest.mark.parametrize("verb", ["fit", "predict", "crossval"])
def test_all_options(verb, capsys):
    try:
        main([verb, "--help_all"])
    except SystemExit as stop:
        assert stop.code == 0  # noqa: PT017 (Lightning's parser ends the program, a function's does not)
    page = " ".join(capsys.readouterr().out.split())
    named = {
        "fit": ("grouped (nobody is on both sides)", "--early_stopping.patience", "--trainer.accumulate_grad_batches"),
        "predict": ("--frame_stride", "Bayes' rule"),
        "crossval": ("--subset", "tests the same trainings later"),
    }
    assert all(words in page for words in named[verb])


def test_a_verb_of_an_earlier_version_says_its_name_now(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["shares", "--rows", "gone.csv"])
    said = capsys.readouterr().err
    assert "The verb shares is now estimate_prior; the old name ends in version" in said
    assert "Expected a .csv or .jsonl file of rows. Received: gone.csv" in said


@pytest.mark.parametrize(
    ("words", "said", "then"),
    [
        ("predict --every 0 --ckpt_path x --input y", "--every is now --frame_stride", "value for --frame_stride"),
        ("crossval --part nowhere --folds 2", "--part is now --subset", "nowhere"),
        ("export --ckpt_path x --output y.z --format onnx", "--format is gone: the ending of --output", "ending in"),
    ],
)
def test_options_of_an_earlier_version_say_their_name_now(words, said, then, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(words.split())
    err = capsys.readouterr().err
    assert err.startswith(f"Note   {said}")
    assert then in err.partition("error: ")[2]


def test_several_values_may_be_given_at_once_or_one_by_one(tmp_path, capsys):
    images = [str(tmp_path / f"{number}.png") for number in range(3)]
    for number, path in enumerate(images):
        Image.new("L", (60, 60), 80 * number).save(path)
    words = ["--faces", "whole", "--workers", "0", "--output", str(tmp_path / "rows.csv")]
    main(["predict", "--ckpt_path", "pretrained", "--input", *images[:2], *words, "--input", images[2]])
    assert "3 faces in 3 images" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        main(["compare", "one", "two", "--runs_dir", "nowhere"])
    assert "one" in capsys.readouterr().err
