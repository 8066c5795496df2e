"""Draw the README's picture: python docs/make_pictures.py."""

from pathlib import Path

from PIL import Image, ImageDraw

from fer_lightning.data.legend import EXPRESSIONS
from fer_lightning.data.synthetic import draw_face

PEOPLE = (0, 4, 2, 7)

if __name__ == "__main__":
    sheet = Image.new("RGB", (96 * len(EXPRESSIONS), 16 + 96 * len(PEOPLE)), "white")
    for column, expression in enumerate(EXPRESSIONS):
        ImageDraw.Draw(sheet).text((96 * column + 48, 8), expression, "black", anchor="mm")
        for row, person in enumerate(PEOPLE):
            sheet.paste(draw_face(expression, (0, person), column), (96 * column, 16 + 96 * row))
    sheet.save(Path(__file__).with_name("drawn_faces.png"), optimize=True)
