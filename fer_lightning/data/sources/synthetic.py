"""The embedded data set of synthetic faces, so that everything runs before anyone has data.

A network trained on these invented people knows drawings, not people.
"""

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
    """Draw the embedded data set, or find it where it was drawn before: a folder with `legend.csv` and `images/`.

    Args:
        cache: Where to keep it; None takes `$FER_LIGHTNING_CACHE`, `$XDG_CACHE_HOME/fer_lightning` or
            `~/.cache/fer_lightning`.
        people: Number of invented identities.
        images: Images of each identity and expression.
        seed: Draws other people.
    """
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fer_lightning"
    folder = Path(cache or os.environ.get("FER_LIGHTNING_CACHE") or usual)
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
