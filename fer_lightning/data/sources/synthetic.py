"""The embedded data set of synthetic faces, so that everything runs before anyone has data.

Faces of invented people, several images each, with all eight expressions in varying strength, position, light, color
and noise. They are for trying the program and for tests; a network trained on them knows drawings, not people.
"""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path

from filelock import FileLock
from tqdm import tqdm

from fer_lightning.data.legend import EXPRESSIONS, Legend
from fer_lightning.data.sources import DataSource
from fer_lightning.data.sources.legend_csv import LegendCsv
from fer_lightning.data.sources.synthetic_face import draw_face

_VERSION = 3


class SyntheticFaces(DataSource):
    """The embedded data set; drawn at first use, see `synthetic_faces`."""

    name = "synthetic faces that come with fer_lightning"
    license = "Apache-2.0"
    class_names = EXPRESSIONS

    def read(self) -> Legend:
        """Draw the faces unless they are there, and read their legend."""
        return LegendCsv(str(synthetic_faces())).read()


def synthetic_faces(
    cache: str | os.PathLike[str] | None = None, people: int = 100, images: int = 2, seed: int = 0
) -> Path:
    """Draw the embedded data set, or find it where it was drawn before.

    Args:
        cache: Where to keep it; None takes `$FER_LIGHTNING_CACHE`, `$XDG_CACHE_HOME/fer_lightning` or
            `~/.cache/fer_lightning`.
        people: Number of invented identities.
        images: Images of each identity and expression.
        seed: Draws other people.

    Returns:
        A folder with `legend.csv` and `images/`, as a real data set has them.
    """
    folder = Path(cache) if cache is not None else _cache_folder()
    root = folder / f"synthetic_faces-v{_VERSION}-{people}x{images}-{seed}"
    if root.is_dir():
        return root
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{root}.lock"):
        if root.is_dir():
            return root
        aside = root.with_name(root.name + ".building")
        shutil.rmtree(aside, ignore_errors=True)
        (aside / "images").mkdir(parents=True)
        with open(aside / "legend.csv", "w", newline="", encoding="utf-8") as stream:
            legend = csv.writer(stream)
            legend.writerow(["user.id", "image", "emotion"])
            for person in tqdm(range(people), "Drawing faces", delay=1, leave=False):
                for number, expression in enumerate(EXPRESSIONS * images):
                    name = f"person_{person:03d}_{number:02d}.png"
                    draw_face(expression, (seed, person), number).save(aside / "images" / name)
                    legend.writerow(["drawn", name, expression])
        aside.rename(root)
    return root


def _cache_folder() -> Path:
    if own := os.environ.get("FER_LIGHTNING_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fer_lightning"
