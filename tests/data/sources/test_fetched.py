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


@pytest.mark.slow
def test_any_form_of_data_set_in_a_bucket(small, s3, tmp_path):
    folders = tmp_path / "folders"
    for number, name in enumerate(sorted((small / "images").iterdir())):
        (folders / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        shutil.copy(name, folders / "ab"[number % 2])
    options = {"image_size": 8, "split": "stratified", "prepared_dir": str(tmp_path / "kept")}
    upload(folders, "set")
    s3.planned = {"set/a/02.png": ("reset", 1), "set/b/03.png": ("cut", 1)}
    check_same(FERDataModule("s3://bucket/set", **options), FERDataModule(str(folders), **options))
    import boto3

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
