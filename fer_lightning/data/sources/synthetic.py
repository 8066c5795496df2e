"""The embedded data set of synthetic faces, so that everything runs before anyone has data.

A network trained on these invented people knows drawings, not people.
"""

import csv
import hashlib
import os
from pathlib import Path

from tqdm import tqdm

from fer_lightning.data.image_checks import built_once
from fer_lightning.data.legend import EXPRESSIONS, Legend
from fer_lightning.data.sources import DataSource
from fer_lightning.data.sources.legend_csv import LegendCsv
from fer_lightning.data.sources.synthetic_face import draw_face
from fer_lightning.screen import say

_VERSION = 3
_CHECKSUM = "checksum.txt"


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

    Raises:
        FERError: If the disk is full or the folder cannot be written.
    """
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fer_lightning"
    folder = Path(cache or os.environ.get("FER_LIGHTNING_CACHE") or usual)
    root = folder / f"synthetic_faces-v{_VERSION}-{people}x{images}-{seed}"
    hint = "Choose another place with the environment variable FER_LIGHTNING_CACHE."

    def draw(aside: Path) -> None:
        if os.path.lexists(root):
            say(f"Note   The synthetic faces in '{root}' are damaged: they are drawn anew.")
        _draw(aside, people, images, seed)

    built_once(root, lambda: _is_whole(root), draw, "the synthetic faces need up to 32 MB", hint)
    return root


def _draw(aside: Path, people: int, images: int, seed: int) -> None:
    (aside / "images").mkdir()
    with open(aside / "legend.csv", "w", newline="", encoding="utf-8") as stream:
        legend = csv.writer(stream)
        legend.writerow(["user.id", "image", "emotion"])
        for person in tqdm(range(people), "Drawing faces", delay=1, leave=False):
            for number, expression in enumerate(EXPRESSIONS * images):
                name = f"person_{person:03d}_{number:02d}.png"
                draw_face(expression, (seed, person), number).save(aside / "images" / name)
                legend.writerow(["drawn", name, expression])
    (aside / _CHECKSUM).write_text(_checksum(aside), encoding="ascii")


def _is_whole(root: Path) -> bool:
    """Whether all files are there, as they were drawn."""
    try:
        return (root / _CHECKSUM).read_text(encoding="ascii") == _checksum(root)
    except (OSError, ValueError):
        return False


def _checksum(root: Path) -> str:
    """BLAKE2 of the names and contents of the legend and of every image; 1,600 of them take 0.04 s."""
    digest = hashlib.blake2b(digest_size=16)
    for path in [root / "legend.csv", *sorted((root / "images").iterdir())]:
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode(errors="surrogatepass") + content)
    return digest.hexdigest()
