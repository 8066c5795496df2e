from __future__ import annotations

from fer_lightning.audit.duplicates import exact_duplicates, near_duplicates
from fer_lightning.data.image_metadata import read_metadata
from fer_lightning.data.sources.synthetic import draw_face


def test_near_duplicates_survive_resizing_compression_and_light(tmp_path):
    paths = []
    for number in range(40):
        face = draw_face("fear", (3, number), 0)
        face.save(tmp_path / f"{number:02d}.png")
        paths.append(tmp_path / f"{number:02d}.png")
    face = draw_face("fear", (3, 7), 0)
    for name, changed in (("a.jpg", face.resize((70, 70))), ("b.jpg", face.point(lambda value: value * 0.9))):
        changed.save(tmp_path / name, quality=85)
        paths.append(tmp_path / name)
    metadata = read_metadata(paths)
    found = {(one, other) for one, other, _ in near_duplicates(metadata)}
    assert {(7, 40), (7, 41)} <= found
    assert all({one, other} <= {7, 40, 41} for one, other in found)
    assert exact_duplicates(metadata) == []
