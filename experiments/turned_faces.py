"""How well turned faces are turned back: `python experiments/turned_faces.py MODEL FE`.

MODEL is that of experiments/mesh_landmarks.py, FE a data set of photographs. In 200 of them, drawn with seed 0,
MediaPipe's face mesh finds the landmarks, upright. Each is turned then, to the left or right by turns, its largest face
is found anew, and the landmarks in it: by `FaceLandmarks`, or with --mesh by the mesh. One row for each angle: faces
found, with landmarks; of these the median and 90th percentile of the turn's error in degrees, and the median and 95th
percentile of the shift and the size, as shares of the face's side.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from mesh_landmarks import converted, found_in
from PIL import Image
from tqdm import tqdm

from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.face_alignment import AROUND, CERTAIN, MIDDLE, SEEN, around, fitted, open_landmarker
from fer_lightning.data.face_crop import find_faces
from fer_lightning.data.face_detectors import Face
from fer_lightning.data.image_files import read_image

ANGLES = (0, 6, 15, 25, 35, 45, 60, 75, 90, 180)
IMAGES = 200

Points = np.ndarray
"""complex (5,): x + iy in pixels of the photograph."""


def ours(image: Image.Image, face: Face) -> Points | None:
    """What `FaceLandmarks` finds."""
    sure, *found = open_landmarker()(around(image, face, AROUND, SEEN)).tolist()
    side = 2 * max(round(max(face.width, face.height) * AROUND / 2), 1)
    middle = complex(round(face.left + face.width / 2), round(face.top + face.height / 2))
    return middle + (np.array(found).view(complex) / SEEN - MIDDLE) * side if sure >= CERTAIN else None


def row(photographs: list[tuple[Path, Points]], angle: int, find: Callable[[Image.Image, Face], Points | None]) -> str:
    """The figures of one angle."""
    faces, errors = 0, []
    for number, (path, points) in enumerate(photographs):
        upright = read_image(path).convert("RGB")
        degrees = angle if number % 2 else -angle
        image = upright.rotate(degrees, Image.Resampling.BICUBIC)
        middle = complex(image.width / 2, image.height / 2)
        shift, turn = fitted((points - middle) * np.exp(-1j * np.radians(degrees)) + middle)
        for face in find_faces(image)[:1]:
            faces += 1
            if (found := find(image, face)) is not None:
                where, how = fitted(found)
                ratio = how / turn
                errors.append(
                    [np.degrees(abs(np.angle(ratio))), abs(where - shift) / abs(turn), abs(np.log(abs(ratio)))]
                )
    cells = [f"{angle}", f"{faces}", f"{len(errors)}"]
    if len(errors) > 10:
        for column, share, digits in zip(np.transpose(errors), (90, 95, 95), (1, 3, 3), strict=True):
            cells.append(f"{np.median(column):.{digits}f}, {np.percentile(column, share):.{digits}f}")
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("data")
    parser.add_argument("--mesh", action="store_true")
    options = parser.parse_args()
    network, legend = converted(options.model), FERDataModule(options.data).legend

    def mesh(image: Image.Image, face: Face) -> Points | None:
        found = found_in(image, face, network)
        return None if found is None else found.reshape(-1).view(complex)

    photographs: list[tuple[Path, Points]] = []
    for number in np.random.default_rng(0).permutation(len(legend)):
        path = legend.image_dir / legend.images[number]
        image = read_image(path).convert("RGB")
        points = [mesh(image, face) for face in find_faces(image)[:1]]
        photographs += [(path, found) for found in points if found is not None]
        if len(photographs) == IMAGES:
            break
    for angle in tqdm(ANGLES, disable=None):
        print(row(photographs, angle, mesh if options.mesh else ours), flush=True)


if __name__ == "__main__":
    main()
