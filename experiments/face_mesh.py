"""Finds the 478 points of MediaPipe's face mesh: `python experiments/face_mesh.py DATA OUTPUT.npz`.

For an environment of its own, as MediaPipe needs other versions of numpy and protobuf: `pip install mediapipe==0.10.14`
(code and networks Apache-2.0; the networks are in the wheel). Images are enlarged to 192 pixels, and their edges go on
for half of that, as the detector wants room around a face. OUTPUT has `names` and `points`, float32 `(n, 478, 3)`:
x and y as shares of the image's longer side, depth in the same unit, NaN where no face is found.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import mediapipe
import numpy as np
from PIL import Image, ImageOps

SIZE, BORDER = 192, 96


def main() -> None:
    """Find and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    paths = sorted(path for path in (options.data / "images").iterdir() if path.is_file())
    mesh = mediapipe.solutions.face_mesh.FaceMesh(
        static_image_mode=True, max_num_faces=1, refine_landmarks=True, min_detection_confidence=0.3
    )
    points = np.full((len(paths), 478, 3), np.nan, np.float32)
    for number, path in enumerate(paths):
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened).convert("RGB")
        shrink = SIZE / max(image.size)
        image = image.resize([round(side * shrink) for side in image.size], Image.Resampling.BICUBIC)
        pixels = np.pad(np.asarray(image), [(BORDER, BORDER), (BORDER, BORDER), (0, 0)], mode="edge")
        if found := mesh.process(np.ascontiguousarray(pixels)).multi_face_landmarks:
            height, width = pixels.shape[:2]
            places = np.array([(point.x * width, point.y * height, point.z * width) for point in found[0].landmark])
            points[number] = (places - [BORDER, BORDER, 0]) / SIZE
        if number % 2000 == 1999:
            print(f"{number + 1:,} of {len(paths):,} images", flush=True)
    np.savez(options.output, names=[path.name for path in paths], points=points)
    print(f"{np.isfinite(points[:, 0, 0]).sum():,} of {len(paths):,} images have a face; {options.output}")


if __name__ == "__main__":
    main()
