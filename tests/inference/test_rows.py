from __future__ import annotations

import csv
import json

import pyarrow.parquet
import pytest

from fer_lightning.data.face_detectors import Face
from fer_lightning.errors import FERError
from fer_lightning.inference.columns import class_columns, columns
from fer_lightning.inference.expression import Expression
from fer_lightning.inference.frames import Frame
from fer_lightning.inference.rows import RowWriter
from fer_lightning.inference.sources import Source
from fer_lightning.names import cell
from tests.inference.conftest import rows_of

NAMES = ("calm", "jolly")
FACE = Expression("jolly", 0.75, {"calm": 0.25, "jolly": 0.75}, Face(1.23456, 2, 30, 40, 0.9))
WHOLE = Expression("uncertain", 0.6, {"calm": 0.4, "jolly": 0.6}, None)


def frame(name, faces=0, **more):
    return Frame(Source(name, "image"), faces=[None] * faces, numbers=list(range(faces)), **more)


def test_a_row_a_face_and_rows_for_what_has_none():
    first, second = rows_of(frame("a.jpg", 2, frame=3, seconds=0.12345), [FACE, WHOLE], NAMES)
    assert list(first) == columns(NAMES)
    assert first == {
        "source": "a.jpg",
        "frame": 3,
        "seconds": 0.123,
        "face": 0,
        "left": 1.235,
        "top": 2,
        "width": 30,
        "height": 40,
        "score": 0.9,
        "label": "jolly",
        "confidence": 0.75,
        "calm": 0.25,
        "jolly": 0.75,
        "error": None,
    }
    assert (second["face"], second["left"], second["label"]) == (1, None, "uncertain")
    (none,) = rows_of(frame("b.jpg"), [], NAMES)
    (bad,) = rows_of(frame("c.jpg", error="broken"), [], NAMES)
    assert (none["label"], none["face"], bad["label"], bad["error"]) == ("no_face", None, "error", "broken")


def write(path, names, settings=None, sources=(), end=False, overwrite=False):
    with RowWriter(str(path), NAMES, settings or {"model": "x"}, sources, overwrite) as writer:
        done = [name for name in names if writer.has(name)]
        for name in names:
            if name not in done:
                writer.write(rows_of(frame(name, 2), [FACE, WHOLE], NAMES))
        if end:
            writer.end()
    return done


def sources(path):
    if path.suffix == ".csv":
        with open(path, newline="") as stream:
            return [row["source"] for row in csv.DictReader(stream)]
    return [json.loads(line)["source"] for line in path.read_text().splitlines()]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_name_that_is_no_utf8_is_recognised_again(suffix, tmp_path):
    names = ["a\udcff.jpg", "b.jpg", "c.jpg"]
    write(tmp_path / f"rows{suffix}", names)
    assert write(tmp_path / f"rows{suffix}", names) == names[:2]  # the last one is done anew


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_file_is_gone_on_with_wherever_it_was_cut(suffix, tmp_path):
    names = ["ä,1.jpg", 'b"2.jpg', "c\n3.jpg", "d.jpg"]
    whole = tmp_path / f"whole{suffix}"
    write(whole, names)
    content = whole.read_bytes()
    begun = tmp_path / f"begun{suffix}"
    for length in range(0, len(content) + 1, 7):
        write(begun, names[:1])
        begun.write_bytes(content[:length])
        done = write(begun, names)
        assert begun.read_bytes() == content, length
        assert len(done) <= 3
    assert len(done) >= 2


def test_a_file_made_with_other_settings_is_left_alone(tmp_path):
    path = tmp_path / "rows.csv"
    write(path, ["a.jpg"])
    before = path.read_bytes()
    with pytest.raises(FERError, match=r"made with other settings \(model\). Choose another --output"):
        write(path, ["b.jpg"], {"model": "y"})
    (tmp_path / "notes.csv").write_text("mine")
    with pytest.raises(FERError, match=r"other settings \(not known\)"):
        write(tmp_path / "notes.csv", ["b.jpg"])
    assert path.read_bytes() == before
    assert (tmp_path / "notes.csv").read_text() == "mine"
    with pytest.raises(FERError, match=r"--output. Expected .csv, .jsonl, .parquet or -. Received: rows.txt"):
        RowWriter("rows.txt", NAMES, {})


def test_parquet_holds_the_same_rows(tmp_path):
    write(tmp_path / "rows.parquet", ["a.jpg", "b.jpg"])
    rows = pyarrow.parquet.read_table(tmp_path / "rows.parquet").to_pylist()
    assert rows == [row for name in ("a.jpg", "b.jpg") for row in rows_of(frame(name, 2), [FACE, WHOLE], NAMES)]
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]


def test_parquet_gets_its_name_at_success_only(tmp_path):
    """Both early, with no row on the disk, and late, after a group of rows."""
    path = tmp_path / "rows.parquet"

    def broken(copies):
        with RowWriter(str(path), NAMES, {}) as writer:
            writer.write(rows_of(frame("a.jpg", 2), [FACE, WHOLE], NAMES) * copies)
            raise ZeroDivisionError

    for copies in (1, 5_000):
        with pytest.raises(ZeroDivisionError):
            broken(copies)
        assert list(tmp_path.iterdir()) == []
    write(path, ["a.jpg"])
    before = path.read_bytes()
    with pytest.raises(OSError, match="full"), RowWriter(str(path), NAMES, {"model": "x"}):
        raise OSError("full")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_rows_of_what_is_not_looked_at_now_are_kept(suffix, tmp_path):
    path = tmp_path / f"rows{suffix}"
    write(path, ["a.jpg", "b.jpg"], sources=["a.jpg", "b.jpg"], end=True)
    assert write(path, ["c.jpg", "a.jpg"], sources=["c.jpg", "a.jpg"], end=True) == ["a.jpg"]
    assert sources(path) == [name for name in ("a.jpg", "b.jpg", "c.jpg") for _ in range(2)]
    names = ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    assert write(path, names, sources=names) == names[:3]  # none of an ended run anew; and this one is interrupted
    before = path.read_bytes()
    with pytest.raises(FERError, match=r"interrupted at 'd\.jpg', which is not among the inputs"):
        write(path, ["a.jpg"], sources=["a.jpg"])
    assert path.read_bytes() == before


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_an_ended_run_is_left_as_it_is_unless_it_was_cut_since(suffix, tmp_path):
    path, names = tmp_path / f"rows{suffix}", ["a.jpg", "b.jpg"]
    write(path, names, sources=names, end=True)
    whole = path.read_bytes()
    assert write(path, names, sources=names, end=True) == names
    assert path.read_bytes() == whole
    for cut in (3, len(whole.splitlines(keepends=True)[-1])):  # within a row, and the last of two rows of a source
        path.write_bytes(whole[:-cut])
        assert write(path, names, sources=names, end=True) == ["a.jpg"]
        assert path.read_bytes() == whole


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_file_that_is_damaged_in_the_middle_is_left_alone(suffix, tmp_path):
    path, names = tmp_path / f"rows{suffix}", ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    write(path, names)
    lines = path.read_bytes().splitlines(keepends=True)
    for damage in (b"\0" * 40 + b"\n", b"half a row\n", b'"' + lines[3], lines[3][:20], b"\n", b"[]\n", b"\xff\xfe\n"):
        content = b"".join([*lines[:3], damage, *lines[4:]])
        path.write_bytes(content)
        with pytest.raises(FERError, match=r"is damaged in line [45]: expected .*--overwrite"):
            write(path, names)
        assert path.read_bytes() == content
    assert write(path, names, overwrite=True) == []
    assert path.read_bytes() == b"".join(lines)


def test_two_at_once_is_refused_and_the_lock_goes(tmp_path):
    path = tmp_path / "rows.csv"
    with RowWriter(str(path), NAMES, {}) as writer:
        with pytest.raises(FERError, match=r"Another process is writing to '.*rows.csv'"):
            RowWriter(str(path), NAMES, {}).__enter__()
        writer.write(rows_of(frame("a.jpg", 2), [FACE, WHOLE], NAMES))
    assert sources(path) == ["a.jpg", "a.jpg"]
    assert sorted(found.name for found in tmp_path.iterdir()) == ["rows.csv", "rows.csv.settings.json"]


def test_a_lock_file_of_the_users_stays(tmp_path):
    (tmp_path / ".rows.csv.lock").write_text("mine")
    write(tmp_path / "rows.csv", ["a.jpg"])
    assert (tmp_path / ".rows.csv.lock").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 3


def test_parquet_of_other_images_is_not_replaced(tmp_path):
    path = tmp_path / "rows.parquet"
    write(path, ["a.jpg"], sources=["a.jpg"])
    write(path, ["a.jpg"], sources=["a.jpg"])
    before = path.read_bytes()
    with pytest.raises(FERError, match=r"made with other settings \(sources_sha256\)"):
        write(path, ["b.jpg"], sources=["b.jpg"])
    (tmp_path / "own.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(FERError, match="not known"):
        write(tmp_path / "own.parquet", ["b.jpg"])
    assert path.read_bytes() == before
    write(path, ["b.jpg"], sources=["b.jpg"], overwrite=True)
    assert pyarrow.parquet.read_table(path).column("source").to_pylist() == ["b.jpg", "b.jpg"]


def test_settings_beside_that_are_not_ours_are_not_replaced(tmp_path):
    (tmp_path / "rows.csv.settings.json").write_text("mine")
    with pytest.raises(FERError, match=r"settings.json' is there already"):
        write(tmp_path / "rows.csv", ["a.jpg"])
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv.settings.json"]


def test_classes_may_have_the_names_of_columns(tmp_path):
    names = ("source", "face", "class:face", "error", "label", "left", "confidence", "=1+1", "-1", "jolly")
    taken = ["class:source", "class:face", "class:class:face", "class:error", "class:label", "class:left"]
    assert class_columns(names) == [*taken, "class:confidence", "=1+1", "-1", "jolly"]
    values = [place / 100 for place in range(len(names))]
    said = Expression("=1+1", 0.09, dict(zip(names, values, strict=True)), None)
    for suffix in (".csv", ".jsonl", ".parquet"):
        path = tmp_path / f"rows{suffix}"
        with RowWriter(str(path), names, {}) as writer:
            writer.write(rows_of(frame("a.jpg", 1), [said], names))
        if suffix == ".csv":
            (row,) = csv.DictReader(path.open(newline=""))
        else:
            (row,) = (
                [json.loads(path.read_text())] if suffix == ".jsonl" else pyarrow.parquet.read_table(path).to_pylist()
            )
        headings = [cell(name) if suffix == ".csv" else name for name in class_columns(names)]
        assert [float(row[heading]) for heading in headings] == values
        assert row["source"] == "a.jpg"
        assert row["label"] == ("'=1+1" if suffix == ".csv" else "=1+1")
        assert row["error"] in ("", None)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_other_input_goes_behind_and_goes_on_however_early_it_was_interrupted(suffix, tmp_path):
    path = tmp_path / f"rows{suffix}"

    def run(names, input, end=True):
        settings = {"model": "x", "input": input}
        with RowWriter(str(path), NAMES, settings, names) as writer:
            left = [name for name in names if not writer.has(name)]
            for name in left:
                writer.write(rows_of(frame(name, 2), [FACE, WHOLE], NAMES))
            if end:
                writer.end()
        return left, writer.appends

    assert run(["a.jpg", "b.jpg"], ["one"]) == (["a.jpg", "b.jpg"], False)
    first = path.read_bytes()
    with RowWriter(str(path), NAMES, {"model": "x", "input": ["two"]}, ["c.jpg", "d.jpg"]) as writer:
        assert writer.appends  # and interrupted before its first row
    assert path.read_bytes() == first
    assert run(["c.jpg"], ["two"], end=False) == (["c.jpg"], False)  # it goes on, and is interrupted later
    with pytest.raises(FERError, match=r"interrupted at 'c\.jpg', which is not among the inputs"):
        run(["e.jpg"], ["three"])
    assert run(["c.jpg", "d.jpg"], ["two"]) == (["c.jpg", "d.jpg"], False)
    assert run(["e.jpg", "a.jpg"], ["three"]) == (["e.jpg"], True)
    assert sources(path) == [name for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg") for _ in range(2)]
    assert path.read_bytes().startswith(first)
    with pytest.raises(FERError, match=r"other settings \(model\)"), RowWriter(str(path), NAMES, {"model": "y"}, []):
        pass
