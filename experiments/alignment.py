"""Copies a data set with its faces aligned: `python experiments/alignment.py DATA OUTPUT [--points POINTS]`.

YuNet's five landmarks of the largest face of each image are brought to the same five places by the rotation, scale and
shift that fit best (least squares), and the image is cut there. The places are the means of FER+'s landmarks within
their boxes, so that faces are as large as `--data.faces detect` cuts them. (YuNet's landmarks hardly turn with a face:
where it is turned by 20 degrees, the line between its eyes is found turned by 4. So faces are placed and scaled, and
seldom turned.) With `--points` the landmarks are those of MediaPipe's face mesh (experiments/face_mesh.py), which turn
with a face. Beyond the edge of an image, its last pixels go on. An image without a face is taken whole. Compare a
training on the copy with `--data.faces whole` and one on DATA with `--data.faces detect`.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from fer_lightning.data.face_crop import find_faces

PLACES = np.array([[0.303, 0.354], [0.675, 0.354], [0.484, 0.568], [0.347, 0.740], [0.642, 0.737]])
"""Right eye, left eye, tip of the nose, right and left corner of the mouth: shares of the width and height."""

MESH = [468, 473, 1, 61, 291]
"""The same five among the points of a mesh: the irises' middles, the tip of the nose and the corners of the mouth."""

SIZE, BORDER = 96, 0.5


def transform(points: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Rotation, scale and shift, float `(2, 3)`, that bring places, float `(n, 2)`, closest to points of that shape."""
    x, y = places.T
    none, one = np.zeros_like(x), np.ones_like(x)
    equations = np.concatenate([np.stack([x, -y, one, none], 1), np.stack([y, x, none, one], 1)])
    a, b, c, d = np.linalg.lstsq(equations, np.concatenate(points.T), rcond=None)[0]
    return np.array([[a, -b, c], [b, a, d]])


def largest(image: Image.Image) -> np.ndarray | None:
    """YuNet's landmarks of the image's largest face, `(5, 2)` in pixels, or None."""
    faces = find_faces(image)
    return np.array(faces[0].landmarks) if faces and faces[0].landmarks is not None else None


def unturned(points: np.ndarray, places: np.ndarray) -> np.ndarray:
    """As `transform`, without rotation: the middle and the spread of points become those of places."""
    scale = float(np.sqrt(np.square(points - points.mean(0)).sum() / np.square(places - places.mean(0)).sum()))
    shift = points.mean(0) - scale * places.mean(0)
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])


def aligned(image: Image.Image, landmarks: np.ndarray | None, turn: bool = True) -> Image.Image:
    """The face with these landmarks, `(5, 2)` in pixels, aligned; without any, the whole image."""
    if landmarks is None:
        return image.resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    border = round(BORDER * max(image.size))
    pixels = np.asarray(image)
    wide = [(border, border), (border, border)] + [(0, 0)] * (pixels.ndim - 2)
    padded = Image.fromarray(np.pad(pixels, wide, mode="edge"))
    matrix = (transform if turn else unturned)(landmarks + border, PLACES * SIZE)
    shrink = float(np.hypot(*matrix[:, 0]))  # PIL's transform does not filter, so larger faces are made smaller first
    if shrink > 1:
        padded = padded.resize([round(side / shrink) for side in padded.size], Image.Resampling.LANCZOS)
        matrix = matrix / shrink
    return padded.transform((SIZE, SIZE), Image.Transform.AFFINE, matrix.ravel().tolist(), Image.Resampling.BICUBIC)


def main() -> None:
    """Copy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--points", help="points of the mesh of these images, instead of YuNet's landmarks")
    parser.add_argument("--unturned", action="store_true", help="place and scale faces, and do not turn them")
    options = parser.parse_args()
    source, target = options.data, options.output
    legend = next(source.rglob("legend.csv"))
    (target / "images").mkdir(parents=True)
    shutil.copy(legend, target / "legend.csv")
    found, meshes = 0, {}
    if options.points:
        kept = np.load(options.points)
        meshes = dict(zip(kept["names"].tolist(), kept["points"][:, MESH, :2], strict=True))
    names = sorted(path for path in (source / "images").iterdir() if path.is_file())
    for name in tqdm(names, unit=" images", mininterval=10):
        with Image.open(name) as opened:
            image = ImageOps.exif_transpose(opened).convert("RGB")
        landmarks = meshes[name.name] * max(image.size) if options.points else largest(image)
        if landmarks is not None and not np.isfinite(landmarks).all():
            landmarks = None
        found += landmarks is not None
        aligned(image, landmarks, not options.unturned).save(target / "images" / name.name, quality=95)
    print(f"{found} of {len(names)} images have a face; {target} is the copy")


if __name__ == "__main__":
    main()
