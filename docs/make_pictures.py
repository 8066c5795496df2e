"""Draw the README's pictures: python docs/make_pictures.py."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from fer_lightning.data.augmentation import Augmentation
from fer_lightning.data.legend import EXPRESSIONS
from fer_lightning.data.synthetic import draw_face

PEOPLE = (0, 4, 2, 7)
STRONG = Augmentation(flip=True, rotation=12, scale=0.12, shift=0.08, brightness=0.15, contrast=0.25, erasing=0.3)


def drawn_faces() -> Image.Image:
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
    epochs = [images.float()] + [STRONG(images, torch.arange(len(faces)), seed=0, epoch=epoch) for epoch in range(7)]
    sheet = torch.cat([torch.cat(list(epoch), 1) for epoch in epochs], 2)
    return Image.fromarray(sheet.round().to(torch.uint8).permute(1, 2, 0).numpy())


if __name__ == "__main__":
    here = Path(__file__).parent
    drawn_faces().save(here / "drawn_faces.png", optimize=True)
    augmented_faces().save(here / "augmented_faces.png", optimize=True)
