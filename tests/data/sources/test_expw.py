"""ExpW: each face of a photograph is an image."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from fer_lightning.data.legend_check import check_legend
from fer_lightning.data.sources import box_crops
from fer_lightning.data.sources.expw import ExpW
from fer_lightning.data.sources.fer2013 import SEVEN
from fer_lightning.errors import FERError

LINES = [
    # name, face, top, left, right, bottom, confidence, label
    "two.png 0 10 20 60 50 99.5 0",
    "two.png 1 10 70 100 40 50.1 3",
    "a man.png 0 0 0 50 50 10 1",
    "b.png 0 0 0 50 50 10 2",
    "c.png 0 0 0 50 50 10 4",
    "d.png 0 0 0 50 50 10 5",
    "e.png 0 0 0 50 50 10 6",
]


def published(root, folder="image", listed="label.lst", lines=LINES):
    (root / folder).mkdir(parents=True)
    pixels = np.zeros((60, 120), np.uint8)
    pixels[10:50, 20:60], pixels[10:40, 70:100] = 100, 200
    for name in ("two", "a man", "b", "c", "d", "e"):
        Image.fromarray(pixels).save(root / folder / f"{name}.png")
    (root / listed).parent.mkdir(exist_ok=True)
    (root / listed).write_text("".join(f"{line}\n" for line in lines))
    return root


@pytest.mark.parametrize(("folder", "listed"), [("image", "label.lst"), ("origin", "label/label.lst")])
def test_every_face_is_an_image(workdir, folder, listed, monkeypatch):
    published(workdir / "expw", folder, listed)
    assert ExpW.fits(workdir / "expw")
    source = ExpW("expw")
    legend = check_legend(source.read(), source)
    assert legend.class_names == source.class_names == SEVEN
    labels = ["anger", "happiness", "disgust", "fear", "sadness", "surprise", "neutral"]
    assert [legend.class_names[label] for label in legend.labels] == labels
    assert legend.images[:3] == ["two_face0.png", "two_face1.png", "a man_face0.png"]
    assert legend.identities == ["two.png", "two.png", "a man.png", "b.png", "c.png", "d.png", "e.png"]
    assert legend.attributes["face_box_confidence"][:2] == ["99.5", "50.1"]
    assert (legend.declared, legend.format) == (None, "ExpW (label.lst)")
    for image, value, side in ((legend.images[0], 100, 40), (legend.images[1], 200, 30)):
        with Image.open(legend.image_dir / image) as opened:
            pixels = np.asarray(opened)
        assert abs(len(pixels) - side) <= 1
        assert int((pixels == value).sum()) == side * side
    monkeypatch.setattr(box_crops, "_cut", None)  # nothing is cut again
    assert ExpW(f"expw/{listed}").read().images == legend.images


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be taken away here")
def test_a_machine_with_one_core_reads_it(workdir):
    root = str(published(workdir / "expw"))
    code = f"import os; os.sched_setaffinity(0, {{{min(os.sched_getaffinity(0))}}})\n"
    code += f"from fer_lightning.data.sources.expw import ExpW; print(len(ExpW({root!r}).read()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) > 1


def test_damaged_lines_are_listed(workdir):
    lines = [
        *LINES,
        "none.png 0 0 0 50 50 10 2",
        "b.png 1 0 0 50 50 10 7",
        "b.png 2 0 0 50 10 2",
        "b.png 3 0 x 50 50 10 2",
    ]
    published(workdir / "expw", lines=lines)
    with pytest.raises(FERError) as error:
        ExpW("expw").read()
    example = "expected name face_id top left right bottom confidence label, such as 'a.jpg 0 36 80 220 176 52.37 3'"
    numbers = "0 anger, 1 disgust, 2 fear, 3 happiness, 4 sadness, 5 surprise, 6 neutral"
    assert str(error.value).splitlines()[:-1] == [
        "4 problems in the legend:",
        f"  expw/label.lst:8: the image 'none.png' is not a file in '{workdir / 'expw' / 'image'}'",
        f"  expw/label.lst:9: unknown expression '7'; expected one of {numbers}",
        f"  expw/label.lst:10: {example}; found 'b.png 2 0 0 50 10 2'",
        f"  expw/label.lst:11: {example}; found 'b.png 3 0 x 50 50 10 2'",
    ]
    assert len(ExpW("expw", on_error="drop").read()) == 7


def test_what_is_missing(workdir):
    published(workdir / "expw", lines=[*LINES, "b.png 1 0 110 200 90 10 2"])
    with pytest.raises(
        FERError, match=r"label.lst:8: the face box \(left, top, width, height: 110, 0, 90, 90\) is outside"
    ):
        ExpW("expw").read()
    (workdir / "expw" / "image").rename(workdir / "elsewhere")
    with pytest.raises(FERError, match=r"No image folder found: expected one at .*expw/image'. Name it with"):
        ExpW("expw").read()
    assert len(ExpW("expw", images="elsewhere", on_error="drop").read()) == 7
    assert not ExpW.fits(workdir / "elsewhere")
    with pytest.raises(FERError, match=r"--data.root. Expected ExpW: a folder with label.lst, .* Found none at 'else"):
        ExpW("elsewhere").read()
