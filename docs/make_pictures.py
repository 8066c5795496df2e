"""Draw the pictures of the documentation: python docs/make_pictures.py.

That of the report needs a browser, and is taken of a network that is trained for it, in a minute or two.
"""

import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import skimage.data
import torch
from PIL import Image, ImageDraw

from fer_lightning import ExpressionRecognizer
from fer_lightning.data.augmentation import Augmentation, Moment
from fer_lightning.data.face_crop import find_faces
from fer_lightning.data.input_spec import InputSpec
from fer_lightning.data.legend import EXPRESSIONS
from fer_lightning.data.sources.synthetic_face import draw_face
from fer_lightning.inference.drawing import annotated
from fer_lightning.inference.explain import grad_cam, overlay
from fer_lightning.inference.frames import Frame, Look
from fer_lightning.inference.sources import Source
from fer_lightning.inference.timeline import Timeline

PEOPLE = (0, 4, 2, 7)
STRONG = Augmentation(
    flip=True, rotation=15, scale=0.18, shift=0.08, brightness=0.2, contrast=0.4, blur=0.04, noise=0.1, erasing=0.3
)


def synthetic_faces() -> Image.Image:
    """Four people with every expression."""
    sheet = Image.new("RGB", (96 * len(EXPRESSIONS), 16 + 96 * len(PEOPLE)), "white")
    for column, expression in enumerate(EXPRESSIONS):
        ImageDraw.Draw(sheet).text((96 * column + 48, 8), expression, "black", anchor="mm")
        for row, person in enumerate(PEOPLE):
            sheet.paste(draw_face(expression, (0, person), column), (96 * column, 16 + 96 * row))
    return sheet


def augmented_faces() -> Image.Image:
    """Three faces, as they are and in seven epochs of the recipes' augmentation."""
    shown = (("happiness", 0), ("fear", 4), ("anger", 2))
    faces = [draw_face(expression, (0, person), 0) for expression, person in shown]
    images = torch.from_numpy(np.stack([np.asarray(face) for face in faces])).permute(0, 3, 1, 2)
    epochs = [images.float()] + [STRONG(images, torch.arange(len(faces)), Moment(0, epoch)) for epoch in range(7)]
    sheet = torch.cat([torch.cat(list(epoch), 1) for epoch in epochs], 2)
    return Image.fromarray(sheet.round().to(torch.uint8).permute(1, 2, 0).numpy())


def aligned_faces() -> Image.Image:
    """A face turned to either side, by its box and aligned (NASA, public domain)."""
    angles, side = range(-30, 31, 12), 128
    sheet = Image.new("RGB", (side * len(angles), 2 * side), "white")
    for row, faces in enumerate(("detect", "align")):
        spec = InputSpec(side, "rgb", faces=faces)
        for column, angle in enumerate(angles):
            turned = Image.fromarray(skimage.data.astronaut()).rotate(angle, Image.Resampling.BICUBIC)
            pixels = spec.pixels(turned, find_faces(turned)[0])
            sheet.paste(Image.fromarray(pixels.transpose(1, 2, 0)), (side * column, side * row))
    return sheet


def at_work() -> Image.Image:
    """A photograph with its face named (NASA, public domain), what the network looked at, and a timeline of a video."""
    recognizer = ExpressionRecognizer("pretrained", faces="detect", class_prior="uniform", workers=0)
    names = recognizer.model.class_names
    how = Look(recognizer.input_spec)
    photograph = Frame(Source("astronaut", "image"))
    (seen,) = recognizer.answer([how.at(Image.fromarray(skimage.data.astronaut()), photograph)])
    answers = recognizer.recognition(seen).faces
    best = torch.tensor([names.index(answers[0].label)])
    heat = grad_cam(recognizer.model, torch.from_numpy(seen.pixels), best)[0]
    timeline = Timeline(str(Path(tempfile.mkdtemp()) / "timeline.png"), names)
    acts = ("neutral", "happiness", "surprise", "neutral", "anger")
    for number in range(100):
        face = draw_face(acts[number // 20], (0, 4), number // 5).resize((240, 240))
        frame = how.at(face, Frame(Source("film", "video"), number, number / 10))
        (frame,) = recognizer.answer([frame])
        timeline.add(frame, recognizer.recognition(frame).faces)
    timeline.close()
    drawn = annotated(Image.fromarray(skimage.data.astronaut()), answers, names).resize((420, 420))
    plot = Image.open(timeline.path).convert("RGB")
    plot = plot.resize((round(plot.width * 212 / plot.height), 212))
    sheet = Image.new("RGB", (430 + max(plot.width, 408), 420), "white")
    sheet.paste(drawn, (0, 0))
    sheet.paste(overlay(torch.from_numpy(seen.pixels[0]), heat, 200), (430, 0))
    sheet.paste(plot, (430, 208))
    return sheet


def report() -> Image.Image:
    """The report of a network for the embedded data set, down to its confusion matrix."""
    from playwright.sync_api import sync_playwright

    train, chromium = Path(__file__).parents[1] / "train.py", shutil.which("chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as started:
        for words in (["fit"], ["test", "--ckpt_path", "best"]):
            command = [sys.executable, train, *words, "--name", "faces"]
            subprocess.run(command, cwd=folder, check=True)  # noqa: S603 (our own program)
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 1200}, color_scheme="light")
        page.goto((Path(folder) / "runs/faces/test/report.html").as_uri())
        end = page.locator(".confusion").bounding_box()
        shown = {"x": 0, "y": 0, "width": 1000, "height": end["y"] + end["height"] + 2}
        taken = page.screenshot(full_page=True, clip=shown)
        browser.close()
    return Image.open(io.BytesIO(taken)).quantize(128)


if __name__ == "__main__":
    here = Path(__file__).parent
    report().save(here / "report.png", optimize=True)
    synthetic_faces().save(here / "synthetic_faces.png", optimize=True)
    augmented_faces().save(here / "augmented_faces.png", optimize=True)
    aligned_faces().save(here / "aligned_faces.png", optimize=True)
    at_work().save(here / "at_work.png", optimize=True)
