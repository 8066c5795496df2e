from __future__ import annotations

import shutil

import numpy as np
import pytest

from fer_lightning.data.legend import EXPRESSIONS
from fer_lightning.data.sources.legend_csv import read_legend
from fer_lightning.data.sources.synthetic import SyntheticFaces, synthetic_faces
from fer_lightning.data.sources.synthetic_face import draw_face
from fer_lightning.data.splits import make_split
from fer_lightning.errors import FERError
from tests.conftest import flat


def test_a_drawing_is_a_function_of_its_numbers():
    one = np.asarray(draw_face("fear", (0, 3), 5))
    assert one.shape == (96, 96, 3)
    np.testing.assert_array_equal(one, np.asarray(draw_face("fear", (0, 3), 5)))
    for other in (("anger", (0, 3), 5), ("fear", (1, 3), 5), ("fear", (0, 4), 5), ("fear", (0, 3), 6)):
        assert (one != np.asarray(draw_face(*other))).any()


@pytest.mark.slow
def test_as_a_source_it_needs_no_arguments():
    source = SyntheticFaces()
    assert source.license == "Apache-2.0"
    legend = source.read()
    assert legend.class_names == source.class_names == EXPRESSIONS
    assert len(legend) == 1600


def test_it_is_written_once_and_read_like_any_data_set(tmp_path):
    root = synthetic_faces(tmp_path, people=3, images=2)
    legend = read_legend(root / "legend.csv", root / "images")
    assert legend.class_names == EXPRESSIONS
    assert np.bincount(legend.labels).tolist() == [6] * 8
    assert len(set(make_split(legend).identities)) == 3
    changed = (root / "legend.csv").stat().st_mtime_ns
    assert synthetic_faces(tmp_path, people=3, images=2) == root
    assert (root / "legend.csv").stat().st_mtime_ns == changed
    assert synthetic_faces(tmp_path, people=3, images=2, seed=1) != root


def test_damaged_ones_are_drawn_anew_and_nothing_half_drawn_is_left(tmp_path, capsys):
    root = synthetic_faces(tmp_path, people=1, images=1)
    whole = {path.name: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    image = next((root / "images").iterdir())
    for damage in (
        lambda: image.write_bytes(whole[image.name][:-9] + bytes(9)),
        image.unlink,
        lambda: (root / "images" / "more.png").write_bytes(b""),
        lambda: (root / "legend.csv").write_text("user.id,image,emotion\n"),
        lambda: (root / "checksum.txt").write_bytes(b"\xff"),
        lambda: (shutil.rmtree(root), root.write_text("a file")),
    ):
        damage()
        assert synthetic_faces(tmp_path, people=1, images=1) == root
        assert {path.name: path.read_bytes() for path in root.rglob("*") if path.is_file()} == whole
        assert "are damaged: they are drawn anew" in flat(capsys.readouterr().out)
    assert sorted(path.name for path in tmp_path.iterdir()) == [root.name, f"{root.name}.lock"]


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FERError, match="FER_LIGHTNING_CACHE"):
        synthetic_faces(tmp_path / "file" / "cache", people=1, images=1)
