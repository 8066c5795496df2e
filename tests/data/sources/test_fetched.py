"""Data sets at addresses, from real servers that fail now and then."""

from __future__ import annotations

import os
import shutil

import pytest

from fer_lightning import storage
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.errors import FERError
from tests.conftest import flat, run_here
from tests.servers import s3_server, upload, web_server


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(storage, "PAUSES", (0.01, 0.02))
    monkeypatch.setattr(storage, "SILENT", 1.0)


@pytest.fixture
def small(make_data):
    """Twenty images of two classes."""
    return make_data([(f"{number:02}.png", "ab"[number % 2]) for number in range(20)])


@pytest.fixture(scope="module")
def s3():
    with s3_server() as faults:
        yield faults


def check_same(data: FERDataModule, local: FERDataModule) -> None:
    assert data.split.fingerprint == local.split.fingerprint
    mine, theirs = (next(iter(one.test_dataloader())) for one in (data, local))
    assert (mine.images == theirs.images).all()


@pytest.mark.slow
def test_a_legend_and_its_images_on_the_web(small, tmp_path):
    options = {"image_size": 8, "split": "stratified", "prepared_dir": str(tmp_path / "kept")}
    local = FERDataModule(str(small), **options)
    with web_server(small) as (address, faults):
        faults.planned = {"03.png": ("reset", 1), "04.png": ("cut", 1), "legend.csv": ("busy", 1)}
        check_same(FERDataModule(address, **options), local)
        assert faults.asked["/images/05.png"] == 1
        (small / "images/05.png").write_bytes((small / "images/06.png").read_bytes())
        os.utime(small / "images/05.png", (0, 0))  # a server says the time in whole seconds
        data = FERDataModule(address, **options)
        assert faults.asked["/images/06.png"] == 1  # it is here already
        assert (data.legend.image_dir / "05.png").read_bytes() == (small / "images/06.png").read_bytes()
        only = FERDataModule(legend=f"{address}/legend.csv", images=str(small / "images"), **options)
        assert only.split.fingerprint == local.split.fingerprint
        (small / "images/07.png").unlink()
        with pytest.raises(FERError, match=f"^'{address}/images/07.png': there is nothing"):
            FERDataModule(address, **options)
        with pytest.raises(FERError, match=r"On the web nothing can be listed, .*there is none at '.*/images'"):
            FERDataModule(f"{address}/images", **options)
        with pytest.raises(FERError, match=f"^'{address}/none.csv': there is nothing"):
            FERDataModule(legend=f"{address}/none.csv", images=str(small / "images"), **options)


def test_names_of_images_on_the_web_that_are_no_addresses(tmp_path, make_data):
    names = ["a b.png", "ä.png", "c#1.png", "e%41.png", "f?x=1.png"]
    data = make_data([(name, "xy"[number % 2]) for number, name in enumerate(names)])
    with web_server(data) as (address, _):
        found = FERDataModule(address, image_size=8, split="stratified", prepared_dir=str(tmp_path / "kept"))
    for name in names:
        assert (found.legend.image_dir / name).read_bytes() == (data / "images" / name).read_bytes()


def test_one_file_is_unpacked_once_as_long_as_it_is_the_same(tmp_path):
    rows = [f"{number % 7},{' '.join([str(number)] * 2304)},Training" for number in range(14)]
    (tmp_path / "there").mkdir()
    place = tmp_path / "there" / "fer2013.csv"
    place.write_text("\n".join(["emotion,pixels,Usage", *rows]))
    with web_server(tmp_path / "there") as (address, faults):
        for _ in range(2):
            data = FERDataModule(f"{address}/fer2013.csv", image_size=8, prepared_dir=str(tmp_path / "kept"))
            assert len(data.legend) == 14
        unpacked = list((tmp_path / "kept").glob("fer2013-images-*/"))
        assert len(unpacked) == 1
        assert faults.asked["/fer2013.csv"] == 1
        place.write_text("\n".join(["emotion,pixels,Usage", *rows, rows[0]]))
        os.utime(place, (0, 0))
        data = FERDataModule(f"{address}/fer2013.csv", image_size=8, prepared_dir=str(tmp_path / "kept"))
        assert len(data.legend) == 15


@pytest.mark.slow
def test_what_a_kill_left_and_is_gone_at_the_address_goes(small, tmp_path, monkeypatch):
    import fsspec

    there = fsspec.filesystem("memory")
    for number, path in enumerate(sorted((small / "images").iterdir())):
        there.pipe_file(f"/kill/{'ab'[number % 2]}/{path.name}", path.read_bytes())
    fetch, options = storage.fetch, {"image_size": 8, "split": "stratified", "prepared_dir": str(tmp_path)}

    def killed(*given):
        fetch(*given)
        raise SystemExit

    monkeypatch.setattr(storage, "fetch", killed)
    with pytest.raises(SystemExit):
        FERDataModule("memory://kill", **options)
    monkeypatch.undo()
    (copies,) = tmp_path.glob("kill-*")
    left = next(iter(copies.glob("*/*.png")))
    there.rm_file(f"/kill/{left.parent.name}/{left.name}")
    assert len(FERDataModule("memory://kill", **options).legend) == 19
    assert not left.exists()


@pytest.mark.slow
def test_any_form_of_data_set_in_a_bucket(small, s3, tmp_path):
    import boto3

    folders = tmp_path / "folders"
    for number, name in enumerate(sorted((small / "images").iterdir())):
        (folders / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        shutil.copy(name, folders / "ab"[number % 2])
    options = {"image_size": 8, "split": "stratified", "prepared_dir": str(tmp_path / "kept")}
    upload(folders, "set")
    for key in ("set/", "set/a/"):  # as a console makes folders
        boto3.client("s3").put_object(Bucket="bucket", Key=key, Body=b"")
    s3.planned = {"set/a/02.png": ("reset", 1), "set/b/03.png": ("cut", 1)}
    check_same(FERDataModule("s3://bucket/set", **options), FERDataModule(str(folders), **options))
    boto3.client("s3").delete_object(Bucket="bucket", Key="set/a/04.png")
    assert len(FERDataModule("s3://bucket/set", **options).legend) == 19  # what is gone there goes here
    s3.planned = {"set/a/06.png": ("reset", 99)}
    options["prepared_dir"] = str(tmp_path / "other")
    with pytest.raises(FERError, match=r"^'s3://bucket/set/a/06.png': it cannot be had, in 3 tries: "):
        FERDataModule("s3://bucket/set", **options)
    s3.planned = {}
    before = s3.asked["/bucket/set/a/00.png"]
    FERDataModule("s3://bucket/set", **options)
    assert s3.asked["/bucket/set/a/00.png"] == before  # what had come is not fetched again
    with pytest.raises(FERError, match="Expected a data set, found nothing at 's3://bucket/none'"):
        FERDataModule("s3://bucket/none", **options)


@pytest.mark.slow
def test_audit_fit_and_predict_from_a_bucket(drawn, s3, tmp_path, capsys):
    upload(drawn, "drawn")
    s3.planned = {}
    run_here("audit", "--data.root", "s3://bucket/drawn", "--fail_on", "never", cwd=tmp_path)
    small = ["--data.image_size", "32", "--trainer.max_epochs", "1"]
    run_here("fit", "--data.root", "s3://bucket/drawn", *small, cwd=tmp_path)
    shown = capsys.readouterr().out
    assert "192 images, 8 classes, 12 identities" in flat(shown)
    s3.planned = {"person_000_01.png": ("reset", 1), "person_000_02.png": ("reset", 99)}
    words = ["--faces", "whole", "--workers", "0", "--output", "rows.csv"]
    run_here("predict", "s3://bucket/drawn/images/person_000_0*.png", *words, cwd=tmp_path)
    rows = (tmp_path / "rows.csv").read_text().splitlines()[1:]
    names = [row.partition(",")[0] for row in rows]
    assert names == [f"s3://bucket/drawn/images/person_000_0{number}.png" for number in range(10)]
    assert [number for number, row in enumerate(rows) if "it cannot be had, in 3 tries" in row] == [2]
    with pytest.raises(SystemExit):
        run_here("predict", "s3://bucket/nothing", cwd=tmp_path)
    assert "very-secret" not in capsys.readouterr().err


def test_names_that_lead_out_of_a_folder_are_refused(tmp_path, make_data):
    data = make_data([("a.png", "x"), ("b.png", "y")])
    (data / "legend.csv").write_text("image,emotion\na.png,x\n../../../evil.png,y\n")
    evil = r"something that no folder could have: 'images/\.\./\.\./\.\./evil.png'"
    with web_server(data) as (address, _), pytest.raises(FERError, match=evil):
        FERDataModule(address, prepared_dir=str(tmp_path / "kept"))
