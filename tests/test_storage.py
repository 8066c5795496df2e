"""Files at addresses, on real servers that fail now and then."""

from __future__ import annotations

import pytest
from torch.utils.data import DataLoader, Dataset

from fer_lightning import storage
from fer_lightning.errors import FERError, MissingPackageError
from tests.servers import s3_server, web_server


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(storage, "PAUSES", (0.01, 0.02))
    monkeypatch.setattr(storage, "SILENT", 0.3)


@pytest.fixture(scope="module")
def s3():
    with s3_server() as faults:
        yield faults


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    folder = tmp_path_factory.mktemp("web")
    for name in ("plain", "reset", "cut", "silent", "busy", "dead"):
        (folder / f"{name}.bin").write_bytes(bytes(range(256)) * 100)
    with web_server(folder) as (address, faults):
        yield address, faults


@pytest.mark.parametrize("fault", ["reset", "cut", "silent", "busy"])
def test_the_web_is_asked_again(web, fault, tmp_path):
    address, faults = web
    faults.planned = {f"{fault}.bin": (fault, 2)}
    storage.fetch(f"{address}/{fault}.bin", tmp_path / "here", 25_600)
    assert (tmp_path / "here").read_bytes() == bytes(range(256)) * 100
    assert faults.asked[f"/{fault}.bin"] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


@pytest.mark.parametrize("fault", ["reset", "silent"])
def test_after_the_last_try_the_object_is_named(web, fault, tmp_path):
    address, faults = web
    faults.asked.clear()
    faults.planned = {"dead.bin": (fault, 99)}
    with pytest.raises(FERError, match=rf"^'{address}/dead.bin': it cannot be had, in 3 tries: .+\.$"):
        storage.fetch(f"{address}/dead.bin", tmp_path / "here")
    assert faults.asked["/dead.bin"] in (3, 6)  # aiohttp asks once more itself where a kept connection is reset
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there_is_named_at_once(web):
    address, faults = web
    with pytest.raises(storage.ObjectNotFoundError, match=f"^'{address}/none': there is nothing.$"):
        storage.read(f"{address}/none")
    assert faults.asked["/none"] == 1
    assert not storage.exists(f"{address}/none")


class Broken(Dataset):
    """Fails in the process that loads."""

    def __getitem__(self, number):
        raise storage.StorageError("it cannot be had,\n  twice", "s3://bucket/a") if number else FERError("broken: a")


@pytest.mark.parametrize(
    ("number", "kind", "said"),
    [(0, FERError, "broken: a"), (1, storage.StorageError, "'s3://bucket/a': it cannot be had,\n  twice.")],
)
def test_what_a_process_that_loads_has_to_say_is_one_message(number, kind, said):
    with pytest.raises(kind) as failed:
        list(DataLoader(Broken(), sampler=[number], num_workers=1))
    assert str(failed.value) == said


@pytest.mark.slow
def test_nobody_answers():
    with pytest.raises(FERError, match=r"^'http://127.0.0.1:1/x': it cannot be had, in 3 tries: "):
        storage.read("http://127.0.0.1:1/x")


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["reset", "cut", "silent", "busy"])
def test_s3_is_asked_again(s3, fault, tmp_path):
    place = f"s3://bucket/{fault}/a.bin"
    storage.write(place, bytes(range(256)) * 100)
    s3.planned = {f"{fault}/a.bin": (fault, 2)}
    storage.fetch(place, tmp_path / "here", 25_600)
    assert (tmp_path / "here").read_bytes() == bytes(range(256)) * 100
    assert s3.asked[f"/bucket/{fault}/a.bin"] == 3


@pytest.mark.slow
def test_s3_lists_finds_and_removes(s3, tmp_path):
    (tmp_path / "b").write_bytes(b"12345")
    storage.write("s3://bucket/list/a", b"123")
    storage.put(tmp_path / "b", "s3://bucket/list/in/b")
    sizes = {name: size for name, (size, _) in storage.listing("s3://bucket/list").items()}
    assert sizes == {"a": 3, "in/b": 5}
    before = storage.listing("s3://bucket/list")["a"]
    assert storage.mark("s3://bucket/list/a") == before
    storage.write("s3://bucket/list/a", b"456")
    assert storage.listing("s3://bucket/list")["a"] != before  # as large, and another one
    assert storage.matching("s3://bucket/list/*/b") == ["s3://bucket/list/in/b"]
    storage.remove("s3://bucket/list/a")
    storage.remove("s3://bucket/list/a")
    assert not storage.exists("s3://bucket/list/a")
    with pytest.raises(storage.ObjectNotFoundError, match=r"^'s3://bucket/list/a': there is nothing\.$"):
        storage.read("s3://bucket/list/a")


@pytest.mark.slow
def test_no_bucket_is_made(s3):
    with pytest.raises(FERError, match="'s3://another-bucket/a': "):
        storage.write("s3://another-bucket/a", b"1")


def test_a_missing_package_has_its_command():
    with pytest.raises(MissingPackageError, match="pip install gcsfs"):
        storage.read("gs://bucket/a")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://me:pass@host/a?b=1", "https://host/a?b=1"),
        ("https://host/a.jpg?id=1&X-Amz-Signature=abc&X-Amz-Credential=d/e", "https://host/a.jpg?id=1&X-Amz-Signature=...&X-Amz-Credential=..."),
        ("https://host/a?sig=x%2F&id=2", "https://host/a?sig=...&id=2"),
        ("https://host/@me/a.jpg?", "https://host/@me/a.jpg?"),
        ("https://host/a?keyboard=1&signal=2&design=3", "https://host/a?keyboard=...&signal=...&design=3"),
        ("s3://bucket/a?b", "s3://bucket/a?b"),
        ("me@home.jpg", "me@home.jpg"),
        ("http://[::", "http://[::"),
        ("https://host/a?access_token=x&apiKey=y&AWSAccessKeyId=z&pwd=w&page=2", "https://host/a?access_token=...&apiKey=...&AWSAccessKeyId=...&pwd=...&page=2"),
        ("https://host/a?blobSig=x&urlAuth=y&readSig2=z&mySigma=1&Authors=2", "https://host/a?blobSig=...&urlAuth=...&readSig2=...&mySigma=1&Authors=..."),
        ("https://me:pa/ss@host/a@2x.jpg", "https://host/a@2x.jpg"),
        ("https://host:8080/a@2x.jpg", "https://host:8080/a@2x.jpg"),
        ("http://[::1]:80/a@2x.jpg", "http://[::1]:80/a@2x.jpg"),
        ("https://host/a?x=1;jwt=y#id_token=z", "https://host/a?x=1;jwt=...#id_token=..."),
        ("zip://a.csv::https://me:pass@host/a.zip", "zip://a.csv::https://host/a.zip"),
        ("simplecache::s3://key:pass@bucket/key=1/a@b", "simplecache::s3://bucket/key=1/a@b"),
    ],
)  # fmt: skip
def test_without_secret(address, shown):
    assert storage.without_secret(address) == shown


def test_what_is_an_address():
    assert all(map(storage.is_address, ("s3://b/x", "memory://a", "HTTP://h", "simplecache::s3://b/x", "rtsp://a")))
    assert not any(map(storage.is_address, ("C:/x", "c://x", "a/b", "://x", "data:image/png;base64,a", "")))
