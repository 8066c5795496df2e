"""One synthetic face: a drawing of an invented person with one of the eight expressions."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

_SIZE = 96
_DRAWN = 2 * _SIZE
_Color = tuple[int, int, int]


@dataclass(frozen=True)
class _Features:
    """What the muscles do; 0 is at rest, 1 strong. Angles and curves are positive upwards."""

    brow_inner: float = 0.0
    brow_outer: float = 0.0
    brow_uneven: float = 0.0
    eye_open: float = 0.0
    mouth_curve: float = 0.0
    mouth_open: float = 0.0
    mouth_wide: float = 0.0
    mouth_uneven: float = 0.0
    nose_wrinkle: float = 0.0
    cheeks: float = 0.0


_FACES: dict[str, _Features] = {
    "anger": _Features(brow_inner=-1.0, brow_outer=0.45, eye_open=-0.35, mouth_curve=-0.45, mouth_wide=-0.1),
    "contempt": _Features(brow_uneven=0.6, eye_open=-0.3, mouth_uneven=1.0),
    "disgust": _Features(
        brow_inner=-0.55, eye_open=-0.6, mouth_curve=-0.7, mouth_open=0.3, nose_wrinkle=1.0, cheeks=0.5
    ),
    "fear": _Features(
        brow_inner=1.0, brow_outer=0.25, eye_open=0.8, mouth_curve=-0.35, mouth_open=0.4, mouth_wide=0.45
    ),
    "happiness": _Features(eye_open=-0.25, mouth_curve=1.0, mouth_open=0.35, mouth_wide=0.35, cheeks=0.8),
    "neutral": _Features(),
    "sadness": _Features(brow_inner=0.8, brow_outer=-0.5, eye_open=-0.4, mouth_curve=-0.9, mouth_wide=-0.1),
    "surprise": _Features(brow_inner=0.9, brow_outer=0.9, eye_open=0.9, mouth_open=1.0, mouth_wide=-0.45),
}


def draw_face(expression: str, person: tuple[int, int], number: int) -> Image.Image:
    """Draw one image of one of `EXPRESSIONS`: RGB, 96 x 96 pixels.

    Args:
        expression: What it shows.
        person: Seed and number of the identity, which fix the shape of the face.
        number: Number of the image, which varies strength, pose and light.
    """
    look = _Look(np.random.default_rng(person))
    rng = np.random.default_rng((*person, number))
    strength = rng.uniform(0.7, 1.05)
    full = _FACES[expression]
    moved = _Features(
        **{f.name: getattr(full, f.name) * strength + float(rng.normal(0, 0.07)) for f in fields(_Features)}
    )
    image = _drawn(look, moved)
    tilt = float(rng.normal(0, 5))
    zoom = float(rng.uniform(0.88, 1.08))
    cos, sin = math.cos(math.radians(tilt)) / zoom, math.sin(math.radians(tilt)) / zoom
    middle = _DRAWN / 2
    dx, dy = rng.normal(0, 0.025 * _DRAWN, 2)
    matrix = (
        *(cos, sin, middle - cos * (middle + dx) - sin * (middle + dy)),
        *(-sin, cos, middle + sin * (middle + dx) - cos * (middle + dy)),
    )
    image = image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=look.wall)
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1.6))).resize((_SIZE, _SIZE), Image.Resampling.BOX)
    return _lit(image, rng)


class _Look:
    """What stays the same in all images of one person: colors and proportions, in units of the face's height."""

    def __init__(self, rng: np.random.Generator) -> None:
        tone = rng.uniform(0, 1)
        light, dark = np.array([250, 214, 186]), np.array([92, 58, 40])
        skin = light * (1 - tone) + dark * tone + rng.normal(0, 6, 3)
        self.skin, self.shade, self.line = _rgb(skin), _rgb(skin * 0.8), _rgb(skin * 0.38)
        self.lips = _rgb(skin * [0.85, 0.55, 0.55])
        hair = np.array([[30, 24, 20], [92, 60, 34], [196, 158, 96], [140, 140, 140]][rng.integers(4)])
        self.hair, self.brows = _rgb(hair), _rgb(hair * 0.45)
        self.wall = _rgb(rng.uniform(70, 220, 3))
        self.iris = _rgb(np.array([[70, 45, 25], [60, 100, 140], [70, 110, 70]][rng.integers(3)]))
        self.width = rng.uniform(0.34, 0.40)
        self.eye_gap = rng.uniform(0.135, 0.17)
        self.eye_width = rng.uniform(0.062, 0.078)
        self.eye_height = rng.uniform(0.030, 0.040)
        self.brow = rng.uniform(0.020, 0.032)
        self.mouth = rng.uniform(0.115, 0.15)
        self.nose = rng.uniform(0.10, 0.14)
        self.fringe = rng.uniform(209, 222)
        self.long_hair = bool(rng.integers(2))
        self.glasses = rng.uniform() < 0.12


def _rgb(values: np.ndarray) -> _Color:
    red, green, blue = np.clip(values, 0, 255).astype(int).tolist()
    return red, green, blue


def _drawn(look: _Look, face: _Features) -> Image.Image:
    """The face on its wall, upright and in the middle."""
    image = Image.new("RGB", (_DRAWN, _DRAWN), look.wall)
    pen = _Pen(ImageDraw.Draw(image))
    if look.long_hair:
        pen.ellipse(0, 0.04, look.width + 0.07, 0.50, look.hair)
    pen.ellipse(0, 0.02, look.width, 0.46, look.skin)
    pen.cap(0, -0.02, look.width + 0.02, 0.47, look.fringe, look.hair)
    for side in (-1, 1):
        _draw_eye(pen, look, face, side)
        _draw_brow(pen, look, face, side)
        if face.cheeks > 0.3:
            x = side * (look.mouth + 0.06)
            pen.curve([(x - side * 0.03, 0.10), (x, 0.13), (x, 0.19)], look.shade, 0.010 + 0.008 * face.cheeks)
    _draw_nose(pen, look, face)
    _draw_mouth(pen, look, face)
    return image


def _draw_eye(pen: _Pen, look: _Look, face: _Features, side: int) -> None:
    x, y, width = side * look.eye_gap, -0.06, look.eye_width
    height = look.eye_height * max(0.2, 1 + 0.85 * face.eye_open)
    pen.ellipse(x, y, width, height, (245, 245, 240), look.line)
    iris = min(height * 0.95, 0.030)
    pen.ellipse(x, y, iris, iris, look.iris)
    pen.ellipse(x, y, iris * 0.5, iris * 0.5, (15, 12, 10))
    if look.glasses:
        pen.ellipse(x, y, look.eye_width + 0.025, look.eye_width + 0.01, None, (40, 40, 40))


def _draw_brow(pen: _Pen, look: _Look, face: _Features, side: int) -> None:
    base = -0.15 - 0.03 * max(face.eye_open, 0)
    uneven = 0.05 * face.brow_uneven * (side > 0)
    inner = (side * (look.eye_gap - 0.065), base - 0.045 * face.brow_inner - uneven)
    outer = (side * (look.eye_gap + 0.085), base + 0.012 - 0.045 * face.brow_outer - uneven)
    middle = ((inner[0] + outer[0]) / 2, (inner[1] + outer[1]) / 2 - 0.022)
    pen.curve([inner, middle, outer], look.brows, look.brow)


def _draw_nose(pen: _Pen, look: _Look, face: _Features) -> None:
    tip = -0.03 + look.nose - 0.015 * face.nose_wrinkle
    pen.curve([(-0.035, tip), (0, tip + 0.02), (0.035, tip)], look.line, 0.011)
    if face.nose_wrinkle > 0.3:
        for row in range(3):
            y = -0.055 + 0.028 * row
            pen.curve([(-0.030, y), (0, y - 0.012), (0.030, y)], look.line, 0.005 + 0.005 * face.nose_wrinkle)


def _draw_mouth(pen: _Pen, look: _Look, face: _Features) -> None:
    width = look.mouth * (1 + 0.45 * face.mouth_wide)
    lift = 0.065 * face.mouth_curve
    middle = 0.215 + 0.35 * lift - 0.02 * face.nose_wrinkle
    left = (-width, middle - lift)
    right = (width, middle - lift - 0.075 * face.mouth_uneven)
    opened = 0.13 * max(face.mouth_open, 0)
    upper = (0.0, middle + lift - 0.35 * opened)
    if opened > 0.02:
        lower = (0.0, middle + lift + 1.4 * opened)
        outline = [*_bezier([left, upper, right]), *_bezier([right, lower, left])]
        pen.polygon(outline, (70, 22, 26), look.lips)
        if face.mouth_curve > 0.3:
            teeth = (0.0, upper[1] + 0.4 * opened)
            inner = [(0.8 * x, y + 0.01) for x, y in (left, upper, right)]
            pen.polygon([*_bezier(inner), *_bezier([inner[2], teeth, inner[0]])], (250, 248, 240))
    else:
        pen.curve([left, upper, right], look.lips, 0.026)
    pen.curve([left, upper, right], look.line, 0.012)


class _Pen:
    """Draws in units of the image: (0, 0) is the middle, y grows downwards, 1 is the image's width."""

    def __init__(self, draw: ImageDraw.ImageDraw) -> None:
        self._draw = draw

    @staticmethod
    def _at(x: float, y: float) -> tuple[float, float]:
        return (0.5 + x) * _DRAWN, (0.5 + y) * _DRAWN

    def ellipse(
        self, x: float, y: float, width: float, height: float, fill: _Color | None, outline: _Color | None = None
    ) -> None:
        box = (*self._at(x - width, y - height), *self._at(x + width, y + height))
        self._draw.ellipse(box, fill, outline, 2 if fill else 3)

    def cap(self, x: float, y: float, width: float, height: float, start: float, fill: _Color) -> None:
        """The top of an ellipse, from `start` degrees to its mirror image."""
        angles = np.radians(np.linspace(start, 540 - start, 40)).tolist()
        self.polygon([(x + width * math.cos(a), y + height * math.sin(a)) for a in angles], fill)

    def curve(self, points: list[tuple[float, float]], color: _Color, width: float) -> None:
        path = [self._at(x, y) for x, y in _bezier(points)]
        thick = max(1, round(width * _DRAWN))
        self._draw.line(path, color, thick, joint="curve")
        for x, y in (path[0], path[-1]):
            self._draw.ellipse((x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2), color)

    def polygon(self, points: list[tuple[float, float]], fill: _Color, outline: _Color | None = None) -> None:
        self._draw.polygon([self._at(x, y) for x, y in points], fill, outline, 3 if outline else 0)


def _bezier(points: list[tuple[float, float]], steps: int = 16) -> list[tuple[float, float]]:
    """A quadratic curve that passes through its three points, the second one half-way."""
    (x0, y0), (xm, ym), (x2, y2) = points
    x1, y1 = 2 * xm - (x0 + x2) / 2, 2 * ym - (y0 + y2) / 2
    return [
        ((1 - t) ** 2 * x0 + 2 * t * (1 - t) * x1 + t**2 * x2, (1 - t) ** 2 * y0 + 2 * t * (1 - t) * y1 + t**2 * y2)
        for t in (step / steps for step in range(steps + 1))
    ]


def _lit(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Light from a side, contrast, a tint (or no color at all) and noise."""
    pixels = np.asarray(image, np.float64)
    if rng.uniform() < 0.3:
        pixels = pixels.mean(2, keepdims=True).repeat(3, 2)
    angle = rng.uniform(0, 2 * math.pi)
    line = np.linspace(-1, 1, _SIZE)
    slope = math.cos(angle) * line[None, :] + math.sin(angle) * line[:, None]
    pixels = pixels * (1 + rng.uniform(0, 0.35) * slope)[..., None] * rng.normal(1, 0.05, 3)
    pixels = (pixels - 128) * rng.uniform(0.6, 1.15) + 128 + rng.normal(0, 15)
    pixels = pixels + rng.normal(0, rng.uniform(1, 10), pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).round().astype(np.uint8))
