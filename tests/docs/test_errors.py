"""Mistakes that a newcomer is likely to make: each ends with one message, which names the section that explains it."""

from __future__ import annotations

import ast
import errno
import re
import resource
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from fer_lightning import (
    ExpressionClassifier,
    ExpressionCNN,
    ExpressionRecognizer,
    FERDataModule,
    InputSpec,
    load_model,
)
from fer_lightning.cli.explained import PAGE, SECTIONS, more, section_of
from fer_lightning.cli.main import main
from fer_lightning.errors import FERError
from tests.conftest import PROJECT, TINY, run_here

TEXT = (PROJECT / PAGE).read_text(encoding="utf-8")
SLUGS = [re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in re.findall(r"^#{2,4} (.+)$", TEXT, re.M)]
FIT = " ".join(["fit --data.root faces --trainer.max_epochs 1", *TINY])

MISTAKES = """
options | faces | Expected a verb first. To name the expressions in 'faces'
options | --data.root faces | Expected a verb before --data.root, as
options | train | Did you mean fit?
options | predict --images photo.jpg | There is no option --images
options | FIT --lr 0.1 | Did you mean --model.optimizer.lr?
options | FIT --epochs 3 | Did you mean --trainer.max_epochs?
options | FIT --batch_size 3 | Did you mean --data.batch_size?
options | FIT --data.split random | Expected sequential, stratified, grouped or predefined.
options | FIT --data.classes anger | Expected a list, as '[anger, fear]'. Received: anger.
options | FIT --trainer.max_epochs many | Expected a whole number. Received: many.
options | FIT --model ExpressionCNN | Expected its options one by one, as --model.NAME VALUE
options | FIT --model.network ExpressionCN | Did you mean ExpressionCNN?
options | FIT --model.network resnet18 | --model.network TorchvisionModel --model.network.name resnet18.
options | FIT --model.network torchvision.models.resnet18 | --model.network TorchvisionModel
options | FIT --data.augmentation.flip maybe | Expected true or false. Received: maybe.
options | audit faces | Expected options, each with its name, as --data.root DATA.
options | FIT --model.network my.Net | Received: my.Net. No module named 'my'.
options | FIT --model.network torch.nn.Linear | Linear cannot be made without in_features, out_features.
options | FIT --model.lr_scheduler cosine | Did you mean WarmupCosine?
options | FIT --config mine.yaml | Found nothing at 'mine.yaml'
options | export --output x.onnx | Missing: --ckpt_path.
options | predict a.jpg --faces mouth | Expected auto, whole, detect, align, box or detect_or_whole. Received: mouth.
values | FIT --data.image_size 0 | a whole number from 1 to 4,096
values | predict photo.jpg --target_risk 5 | Expected 0 to 1. Received: 5
values | serve --port 99999 | Expected 0 to 65,535
values | test --name mine --ckpt_path best --slices '[hair]' | Received: 'hair'
devices | predict photo.jpg --device gpu | Received: gpu
devices | FIT --trainer.devices 9999 | --trainer.devices
places-to-write | predict photo.jpg --output rows.xlsx | Expected .csv, .jsonl, .parquet or -
places-to-write | predict photo.jpg --annotate out.png | Expected a folder or an .mp4 file
places-to-write | audit --data.root faces --output faces | Choose another folder
no-checkpoint | predict photo.jpg --name nobody | Runs in 'runs': mine (choose with --name)
no-checkpoint | FIT --ckpt_path last --name nobody | No checkpoint 'last' of the run 'nobody'
no-checkpoint | test --name mine | test needs a checkpoint
no-checkpoint | test --name mine --ckpt_path besst | found nothing at 'besst'
run-folders | FIT --name a/b | it has a slash in it
run-folders | FIT --runs_dir . --name empty2 | holds no run
checkpoints | predict photo.jpg --ckpt_path photo.jpg | Cannot read the weights 'photo.jpg'
another-model | FIT --ckpt_path last --name mine --model.network CompactResNet | weights of another network than
another-model | FIT --model.distillation.teacher pretrained | --data.image_size has to be 48
going-on | FIT --ckpt_path last --name mine --data.split_seed 3 | not divided as they were
diverged | FIT --name wild --model.optimizer.lr 1e30 | The training diverged
untested-runs | compare mine nobody | Expected a predictions.csv that test
answers-of-other-models | test --predictions headings.csv --data.root faces | no answers that are understood
answers-of-other-models | test --predictions two.csv --data.root faces | Found: 'good'
options | test --predictions two.csv --ckpt_path best --data.root faces | Leave one of them away
exports | export --ckpt_path pretrained --output x.tflite | Expected a file ending in .safetensors
data-set | fit --data.root nowhere | found nothing at 'nowhere'
data-set | fit --data.root photo.jpg | 'photo.jpg' is one image
data-set | fit --data.root loose | in no known form: a folder with a.jpg
data-set | fit --data.root one | in no known form
data-set | fit --data.root empty | a folder with nothing
addresses | fit --data.root nothing://a/b | 'nothing://a/b/fer_stream.json': it cannot be used
streams | prepare --data.root faces --data.image_size 32 --output empty2 | has files in it that are not ours
tables | FIT --data.columns '{picture: image}' | Expected some of image, label
tables | fit --data.root headings.csv | --data.columns '{label: what}'
places-to-write | FIT --data.prepared_dir photo.jpg | Choose another place with --data.prepared_dir DIR
tables | ferplus --fer2013 x --votes y --output z | Cannot read 'x'
rows | FIT --data.classes '[anger, fear]' | unknown label
rows | test --name mine --ckpt_path best --data.root two.csv | unknown label 'bad'
labels | fit --data.root numbers.csv | what they mean is not known
labels | FIT --data.soft_labels true | needs a column of votes
splits | FIT --data.folds 100 --data.fold 0 | Expected fewer, at most 12
splits | FIT --data.val_fraction 90 | below 1. Received: 90
what-to-look-at | predict nowhere.jpg | Found nothing at 'nowhere.jpg'
what-to-look-at | predict empty | No image or video in empty
what-to-look-at | predict photo.jpg --output rows.csv --shard 0/3 | counted from 1
clusters | predict photo.jpg --engine ray | --engine needs an --output
places-to-write | predict photo.jpg --engine ray --output rows.csv | it is a folder
detector | predict photo.jpg --detector x.onnx | found nothing at 'x.onnx'
class-frequencies | predict photo.jpg --class_prior '[0.5, 0.6]' | 8 frequencies that add up to 1
class-frequencies | estimate_prior --rows none.csv | Expected a .csv or .jsonl file of rows
service | serve --host 0.0.0.0 | which needs a token
networks | FIT --model.fine_tuning.freeze '[backbone]' | nothing in the network starts with 'backbone'
your-own-classes | FIT --data_module my.Data | Cannot import 'my.Data'
""".strip().splitlines()


FIRST = {line.partition(" | ")[0]: line for line in reversed(MISTAKES)}
"""One for each section, for the default run; CI takes all."""


@pytest.fixture(scope="module")
def place(drawn, tmp_path_factory) -> Path:
    """A newcomer's folder: a data set, a photograph, a run, and what is of no use."""
    folder = tmp_path_factory.mktemp("newcomer")
    (folder / "faces").symlink_to(drawn)
    Image.fromarray(skimage.data.astronaut()).save(folder / "photo.jpg")
    for name in ("loose/a.jpg", "loose/b.jpg", "one/angry/a.jpg", "empty2/keep/a.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "photo.jpg", folder / name)
    (folder / "empty").mkdir()
    images = [f"faces/images/{path.name}" for path in sorted((drawn / "images").iterdir())]
    (folder / "numbers.csv").write_text("image,label\n" + "".join(f"{name},{n % 7}\n" for n, name in enumerate(images)))
    labels = [("good", "bad")[number % 2] for number in range(len(images))]
    (folder / "two.csv").write_text(
        "image,label\n" + "".join(f"{a},{b}\n" for a, b in zip(images, labels, strict=True))
    )
    (folder / "headings.csv").write_text("file name;what\n" + "".join(f"{name};good\n" for name in images))
    run_here(*FIT.split(), "--name", "mine", cwd=folder)
    return folder


@pytest.mark.parametrize(
    "line",
    [pytest.param(x, marks=() if x in FIRST.values() else pytest.mark.slow, id=x.split(" | ")[1]) for x in MISTAKES],
)
def test_one_message_names_the_section_that_explains_it(place, monkeypatch, capsys, line):
    section, words, said = (part.strip() for part in line.split(" | "))
    monkeypatch.chdir(place)
    with pytest.raises(SystemExit) as stop:
        main(shlex.split(words.replace("FIT", FIT)))
    message = capsys.readouterr().err
    assert stop.value.code == 2, message
    assert "Traceback" not in message
    assert message.count("error: ") == 1
    assert said in message
    assert message.endswith(f"\nMore: {PAGE}#{section}\n")


@pytest.mark.parametrize(
    ("section", "call", "said"),
    [
        ("no-checkpoint", lambda: ExpressionRecognizer("nowhere.ckpt"), "found nothing at 'nowhere.ckpt'"),
        ("no-checkpoint", lambda: load_model("nowhere.ckpt"), "found nothing at 'nowhere.ckpt'"),
        ("values", lambda: ExpressionRecognizer(target_risk=5.0), "Expected 0 to 1. Received: 5.0"),
        ("python", lambda: ExpressionRecognizer().predict(np.zeros((9, 9, 3))), "Received: float64 (9, 9, 3)"),
        ("python", lambda: ExpressionRecognizer().predict(None), "Received: NoneType"),
        (
            "python",
            lambda: ExpressionRecognizer().predict("photo.jpg", faces=[(1, 2, 3)]),
            "(left, top, width, height)",
        ),
        ("python", lambda: ExpressionRecognizer().predict("photo.jpg", channels="rgb"), "Expected RGB or BGR"),
        ("python", lambda: ExpressionRecognizer(ExpressionCNN(8, 1, 48)), "an ExpressionModel"),
        ("networks", lambda: ExpressionCNN(8, 1, 10), "Expected at least 22 pixels"),
        ("networks", lambda: ExpressionClassifier(ExpressionCNN(5)), "Expected an output of shape (1, 8)"),
        ("values", lambda: InputSpec(color="blue"), "Expected one of rgb, gray. Received: 'blue'"),
        ("data-set", lambda: FERDataModule("nowhere").info, "found nothing at 'nowhere'"),
    ],
)
def test_a_wrong_call_from_python(place, monkeypatch, section, call, said):
    monkeypatch.chdir(place)
    with pytest.raises(FERError) as refused:
        call()
    assert said in str(refused.value)
    assert section_of(refused.value) == section


def test_every_section_that_the_code_names_is_there_and_every_one_there_is_named():
    named = {*SECTIONS.values(), "memory", "packages", "options", "disk-full", "places-to-write"}
    groups = {"on-the-command-line", "runs-and-checkpoints", "data", "predicting", "your-own-code"}
    assert len(SLUGS) == len(set(SLUGS))
    assert set(SLUGS) == named | groups


def test_what_the_table_names_is_in_the_code():
    for name in SECTIONS:
        module, _, function = name.partition(":")
        path = PROJECT / "fer_lightning" / module.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").is_file(), name
        if function:
            tree = ast.parse(path.with_suffix(".py").read_text(encoding="utf-8"))
            for part in function.split("."):
                tree = next(node for node in tree.body if getattr(node, "name", "") == part)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "words"),
    [
        ("cv2", "predict film.mp4"),
        ("pyarrow", "predict photo.jpg --output rows.parquet"),
        ("onnx", "export --ckpt_path pretrained --output x.onnx"),
        ("fastapi", "serve"),
        ("litdata", "prepare --data.root faces --output stream"),
        ("s3fs", "fit --data.root s3://bucket/faces"),
        ("timm", "fit --model.network TimmModel --model.network.name resnet10t"),
    ],
)
def test_a_package_that_is_missing(place, package, words):
    """In a process of its own, in which the package cannot be imported."""
    (place / "film.mp4").write_bytes(b"")
    code = (
        f"import sys; sys.modules[{package!r}] = None; from fer_lightning.cli.main import main; main({words.split()})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "pip install" in done.stderr
    assert done.stderr.endswith(f"\nMore: {PAGE}#packages\n")


@pytest.mark.slow
def test_memory_that_does_not_suffice(place):
    """A network that is larger than the memory that the process may have."""
    words = [*FIT.split(), "--data.image_size", "100", "--model.network.hidden", "40000"]
    code = f"from fer_lightning.cli.main import main; main({words})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (2**31, 2**31)),
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.endswith(f"error: There is not enough memory for this.\nMore: {PAGE}#memory\n")


def test_what_the_system_refuses():
    assert more(OSError(errno.ENOSPC, "No space left on device")) == f"\nMore: {PAGE}#disk-full"
    assert more(PermissionError(errno.EACCES, "Permission denied", "x")) == f"\nMore: {PAGE}#places-to-write"
    wrapped = FERError("Cannot take up 'last.ckpt'")
    wrapped.__cause__ = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 8.00 GiB.")
    assert more(wrapped) == f"\nMore: {PAGE}#memory"
    assert more(MemoryError()) == f"\nMore: {PAGE}#memory"
    assert more(ZeroDivisionError()) == ""
