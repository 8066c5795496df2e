"""A folder of parts: what may be in it, when it is gone on with, and when it is whole."""

from __future__ import annotations

import json
import pickle

import pytest

from fer_lightning.errors import FERError
from fer_lightning.inference.cluster_work import divided
from fer_lightning.inference.on_engine import check_engine
from fer_lightning.inference.parts_folder import PartsFolder
from fer_lightning.inference.sources import Source

OURS = {"fer_lightning": "0.2.0", "input": ["in"], "class_prior": "training"}
NAMES = ["part-00001-of-00002.parquet", "part-00002-of-00002.parquet"]


def images(count):
    return [Source(f"{number}.jpg", "image") for number in range(count)]


@pytest.mark.parametrize(
    ("count", "batch_size", "sizes"),
    [(10, 64, [10]), (150, 64, [64, 64, 22]), (150, 100, [100, 50]), (100_000, 64, [448] * 223 + [96])],
)
def test_parts_are_runs_of_whole_batches(count, batch_size, sizes):
    sources = images(count)
    parts = divided(sources, batch_size)
    assert [len(part.sources) for part in parts] == sizes
    assert [source for part in parts for source in part.sources] == sources
    assert sorted(part.name for part in parts) == [part.name for part in parts]
    assert parts[-1].name == f"part-{len(sizes):05d}-of-{len(sizes):05d}.parquet"


def test_films_have_parts_of_their_own():
    films = [Source(f"{number}.mp4", "video") for number in range(3)]
    parts = divided([*images(70), *films, *images(1)], 64)
    assert [source.name for part in parts[2:] for source in part.sources] == ["0.mp4", "1.mp4", "2.mp4", "0.jpg"]
    assert len(parts) == 6
    assert len(divided(images(1) * 10**6, 64)) == 489  # of 2,048: files that are worth opening


def test_a_folder_is_gone_on_with_and_ended(tmp_path):
    folder = pickle.loads(pickle.dumps(PartsFolder(str(tmp_path / "rows"))))
    assert folder.begin(OURS, NAMES, overwrite=False) == set()
    folder.write(NAMES[1], b"two")
    with pytest.raises(FERError, match=r"1 of 2 parts are not in .*, as 'part-00001-of-00002.parquet'"):
        folder.end(NAMES, 70)
    assert not (tmp_path / "rows" / "_SUCCESS").exists()
    assert folder.begin(OURS, NAMES, overwrite=False) == {NAMES[1]}
    folder.write(NAMES[0], b"one")
    folder.end(NAMES, 70)
    assert json.loads((tmp_path / "rows" / "_SUCCESS").read_text()) == {"parts": 2, "images": 70}
    with pytest.raises(FERError, match=r"made with other settings or input \(class_prior\)"):
        folder.begin(OURS | {"class_prior": "uniform"}, NAMES, overwrite=False)
    assert (tmp_path / "rows" / NAMES[0]).read_bytes() == b"one"
    assert folder.begin(OURS | {"class_prior": "uniform"}, ["part-00001-of-00001.parquet"], overwrite=True) == set()
    assert [path.name for path in (tmp_path / "rows").iterdir()] == ["_settings.json"]


def test_what_is_not_ours_stays_also_with_overwrite(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"dear")
    (tmp_path / NAMES[0]).write_bytes(b"of somebody else")
    for overwrite in (False, True):
        with pytest.raises(FERError, match="has files in it that are not ours, as 'part-00001"):
            PartsFolder(str(tmp_path)).begin(OURS, NAMES, overwrite)
    assert (tmp_path / NAMES[0]).read_bytes() == b"of somebody else"
    assert not (tmp_path / "_settings.json").exists()


def test_settings_of_another_program_are_not_replaced(tmp_path):
    (tmp_path / "_settings.json").write_text('{"theirs": 1}')
    with pytest.raises(FERError, match=r"files in it that are not ours, as '_settings.json'"):
        PartsFolder(str(tmp_path)).begin(OURS, NAMES, overwrite=True)
    assert (tmp_path / "_settings.json").read_text() == '{"theirs": 1}'


def test_another_parquet_file_among_ours_would_be_read_too(tmp_path):
    PartsFolder(str(tmp_path)).begin(OURS, NAMES, overwrite=False)
    (tmp_path / "notes.txt").touch()
    assert PartsFolder(str(tmp_path)).begin(OURS, NAMES, overwrite=False) == set()
    (tmp_path / "extra.parquet").touch()
    with pytest.raises(FERError, match=r"as 'extra.parquet': who reads the folder would read them, too"):
        PartsFolder(str(tmp_path)).begin(OURS, NAMES, overwrite=False)


@pytest.mark.parametrize(
    "output", ["rows.csv", "rows.PARQUET", "memory://rows", "https://a.example/rows", " ", "nosuch://a"]
)
def test_what_can_be_no_folder_of_parts_is_refused(output):
    with pytest.raises(FERError, match="--output"):
        PartsFolder(output)


def test_an_address_of_this_machine_is_a_folder(tmp_path):
    folder = PartsFolder(f"file://{tmp_path}/rows")
    folder.begin(OURS, NAMES, overwrite=False)
    assert folder.name == str(tmp_path / "rows")
    assert [path.name for path in (tmp_path / "rows").iterdir()] == ["_settings.json"]


def test_secrets_of_an_address_are_not_shown():
    assert PartsFolder("s3://key:secret@bucket/rows").shown == "s3://bucket/rows"


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "rows").touch()
    with pytest.raises(FERError, match="--output"):
        PartsFolder(str(tmp_path / "rows")).begin(OURS, NAMES, overwrite=False)


@pytest.mark.parametrize(
    ("output", "workers", "without", "sources", "said"),
    [
        (None, None, {}, [], "--engine needs an --output: a folder"),
        ("-", None, {}, [], "--engine needs an --output: a folder"),
        ("rows", None, {"--annotate": "drawn", "--shard": "1/2"}, [], "--annotate and --shard .* not go with --engine"),
        ("rows", 0, {}, [], "Invalid value for --workers. Expected 1"),
        ("rows", None, {}, [Source("0", "camera")], "'0' is a camera or stream"),
    ],
)
def test_what_does_not_go_with_an_engine_is_refused(output, workers, without, sources, said):
    with pytest.raises(FERError, match=said):
        check_engine(output, workers, without, sources)
