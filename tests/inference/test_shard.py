"""`predict --shard`: parts that know nothing of each other, and join to the whole."""

from __future__ import annotations

import json
import shutil

import pyarrow.parquet
import pytest

from fer_lightning.errors import FERError
from fer_lightning.inference.shard import Shard, check_shard
from fer_lightning.inference.sources import Source
from tests.conftest import flat, run_here


@pytest.mark.parametrize(("inputs", "of"), [(0, 3), (2, 3), (7, 3), (9, 3), (100, 7), (5, 1)])
def test_parts_join_to_the_whole(inputs, of):
    sources = [Source(f"{number}.jpg", "image") for number in range(inputs)]
    parts = [Shard(number, of).taken(sources) for number in range(1, of + 1)]
    assert [source for part in parts for source in part] == sources
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("text", ["0/3", "4/3", "1/0", "-1/3", "3", "a/b", "1/2/3", "", "1/100000", "1.5/3", "٣/٤"])
def test_what_is_no_part_is_refused(text):
    with pytest.raises(FERError, match=r"--shard. Expected i/n: .* counted from 1"):
        Shard.parse(text)


def test_the_name_of_a_part():
    assert Shard.parse("3/10").path("a/rows.v1.csv") == "a/rows.v1-00003-of-00010.csv"
    assert Shard.parse("3/10").path("-") == "-"


def test_what_has_no_parts_is_refused():
    with pytest.raises(FERError, match="--shard needs an --output"):
        check_shard(None, None, None, [])
    for options in (("film.MP4", None), (None, "time.png")):
        with pytest.raises(FERError, match="does not go with --timeline or one annotated film"):
            check_shard("rows.csv", *options, [])
    with pytest.raises(FERError, match="'0' is a camera"):
        check_shard("rows.csv", "drawn", None, [Source("a.jpg", "image"), Source("0", "camera")])


def predict(place, *words):
    run_here("predict", "in", "--workers", "0", "--device", "cpu", *words, cwd=place)


def test_rows_of_parts_put_together_are_those_of_one_run(drawn, video, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    for path in sorted((drawn / "images").iterdir())[:40]:
        shutil.copy(path, tmp_path / "in")
    (tmp_path / "in" / "broken.jpg").write_text("no image")
    shutil.copy(video, tmp_path / "in" / "film.mp4")
    for ending in ("jsonl", "csv", "parquet"):
        predict(tmp_path, "--faces", "whole", "--output", f"whole.{ending}")
        for number in (2, 3, 1):
            predict(tmp_path, "--faces", "whole", "--output", f"part.{ending}", "--shard", f"{number}/3")
    parts = [tmp_path / f"part-0000{number}-of-00003" for number in (1, 2, 3)]
    assert len(list(tmp_path.glob("part-*.settings.json"))) == 6
    joined = b"".join(part.with_suffix(".jsonl").read_bytes() for part in parts)
    assert joined == (tmp_path / "whole.jsonl").read_bytes()
    lines = [part.with_suffix(".csv").read_bytes().splitlines(keepends=True) for part in parts]
    assert (
        b"".join([lines[0][0], *(line for part in lines for line in part[1:])]) == (tmp_path / "whole.csv").read_bytes()
    )
    tables = [pyarrow.parquet.read_table(part.with_suffix(".parquet")) for part in parts]
    whole = pyarrow.parquet.read_table(tmp_path / "whole.parquet").to_pylist()
    assert [row for table in tables for row in table.to_pylist()] == whole
    settings = [json.loads((tmp_path / f"{part.name}.csv.settings.json").read_text()) for part in parts]
    assert [one["shard"] for one in settings] == ["1/3", "2/3", "3/3"]
    assert {(one["inputs"], one["inputs_sha256"], one["ended"]) for one in settings} == {
        (42, settings[0]["inputs_sha256"], True)
    }
    capsys.readouterr()
    predict(tmp_path, "--faces", "whole", "--output", "part.csv", "--shard", "2/3")
    assert "14 of 14 are in part-00002-of-00003.csv already" in flat(capsys.readouterr().out)
    assert (tmp_path / "part-00002-of-00003.csv").read_bytes() == b"".join(lines[1])
    shutil.copy(tmp_path / "in" / "film.mp4", tmp_path / "in" / "another.mp4")
    with pytest.raises(SystemExit):
        predict(tmp_path, "--faces", "whole", "--output", "part.csv", "--shard", "2/3")
    assert "made with other settings (inputs, inputs_sha256)" in flat(capsys.readouterr().err)


def test_a_part_without_inputs_has_no_rows(photograph, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    photograph.save(tmp_path / "in" / "a.png")
    predict(tmp_path, "--output", "rows.csv", "--shard", "1/2")
    assert (tmp_path / "rows-00001-of-00002.csv").read_text().count("\n") == 1
    assert "0 faces in 0 images" in capsys.readouterr().out
    predict(tmp_path, "--output", "rows.csv", "--shard", "2/2")
    assert "in/a.png" in (tmp_path / "rows-00002-of-00002.csv").read_text()
