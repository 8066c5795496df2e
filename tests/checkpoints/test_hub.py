"""`hf://owner/name`: downloaded by huggingface_hub from a server of its kind, kept, and nothing else than two files."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fer_lightning.checkpoints.finding import PRETRAINED, name_of, origin_of
from fer_lightning.checkpoints.hub import address_of, downloaded
from fer_lightning.errors import FERError
from fer_lightning.export.export import export
from tests.conftest import PROJECT, TINY

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PROGRAM = """
import json, sys
from fer_lightning import FERError, load_model
from fer_lightning.cli.main import main
import torch
found = []
for address in json.loads(sys.argv[1]):
    try:
        model = load_model(address)
        faces = torch.arange(48 * 48).reshape(1, 1, 48, 48).to(torch.uint8)
        found.append(model.probabilities(faces).tolist())
    except FERError as error:
        found.append(str(error))
for words in json.loads(sys.argv[2]):
    main(words)
print("FOUND", json.dumps(found))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repositories") / "mine"
    export(str(PRETRAINED), str(folder), hub=True)
    return folder


@pytest.fixture
def hub(folder):
    """A server that has the folder as `me/mine`, with a pickle beside it; `me/other` has no config.json."""
    asked: list[str] = []

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0].strip("/")
            asked.append(f"{self.command} {path}")
            owner, _, rest = path.partition("/resolve/")
            revision, _, name = rest.partition("/")
            known = {"me/mine": folder, "me/other": folder / "nowhere"}
            code = "" if owner in known else "RepoNotFound"
            code = code or ("" if revision in ("main", "v1", COMMIT) else "RevisionNotFound")
            code = code or ("" if (known[owner] / name).is_file() else "EntryNotFound")
            content = b"" if code else (known[owner] / name).read_bytes()
            self.send_response(404 if code else 200)
            if code:
                self.send_header("X-Error-Code", code)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET  # noqa: N815 (its name in http.server)

        def log_message(self, *args: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def answers(addresses, endpoint, place, *words, offline=False):
    """What a process of its own has for each address: probabilities, or a message; then it runs command lines."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    env |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(place / "home"), "PYTHONPATH": str(PROJECT)}
    env |= {"HF_HUB_OFFLINE": "1"} if offline else {}
    command = [sys.executable, "-c", PROGRAM, json.dumps(addresses), json.dumps([list(map(str, one)) for one in words])]
    done = subprocess.run(command, env=env, cwd=place, capture_output=True, text=True, timeout=240)
    assert "FOUND" in done.stdout, done.stderr
    return json.loads(done.stdout.rpartition("FOUND ")[2])


@pytest.mark.slow
def test_two_files_are_downloaded_once_and_answer_as_those_that_were_uploaded(hub, folder, tmp_path):
    endpoint, asked = hub
    addresses = ["hf://me/mine", "hf://me/mine@v1", str(folder), "hf://me/none", "hf://me/mine@none", "hf://me/other"]
    first, tagged, wanted, none, no_revision, other = answers(addresses, endpoint, tmp_path)
    assert first == tagged == wanted
    assert isinstance(first, list)
    assert none.startswith("Cannot get config.json of 'hf://me/none'. There is no such repository or revision for you.")
    assert no_revision.startswith("Cannot get config.json of 'hf://me/mine@none'. There is no such repository")
    assert other == (
        "Cannot get config.json of 'hf://me/other'. It has no config.json. Expected a repository of a folder that "
        "export --hub wrote."
    )
    got = [line.rpartition("/")[2] for line in asked if line.startswith("GET")]
    assert got == ["config.json", "model.safetensors"]
    assert {line.rpartition("/")[2] for line in asked} == {"config.json", "model.safetensors"}
    kept, missing = answers(["hf://me/mine", "hf://me/none"], "http://127.0.0.1:9", tmp_path)
    assert kept == first
    assert missing == (
        "Cannot get config.json of 'hf://me/none'. The hub cannot be reached, and it was not downloaded before. Try "
        "again with a network, or give a folder."
    )
    kept, missing = answers(["hf://me/mine@v1", "hf://me/none"], endpoint, tmp_path, offline=True)
    assert kept == first
    assert "The hub cannot be reached" in missing


@pytest.mark.slow
def test_a_training_that_starts_from_an_address_says_so_with_the_commit(hub, tmp_path, drawn):
    fit = ["fit", "--ckpt_path", "hf://me/mine@v1", "--data.root", drawn, *TINY, "--data.image_size", "48"]
    fit += ["--model.network", "CompactResNet", "--trainer.max_epochs", "1", "--trainer.limit_train_batches", "1"]
    answers([], hub[0], tmp_path, fit)
    card = (tmp_path / "runs/default/model_card.md").read_text()
    assert f"Started from the weights `hf://me/mine@{COMMIT}`." in card
    assert "base_model: me/mine\n" in card


def test_a_repository_is_named_by_its_address(tmp_path):
    snapshot = tmp_path / "models--me--mine" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    for name in ("model.safetensors", "config.json"):
        (snapshot / name).touch()
    path = snapshot / "model.safetensors"
    assert address_of(path) == origin_of(path) == f"hf://me/mine@{COMMIT}"
    assert name_of(path) == "mine"
    assert origin_of(PRETRAINED) == str(PRETRAINED)


@pytest.mark.parametrize(
    "address",
    ["hf://", "hf://mine", "hf://a/b/c", "hf://a/b@", "hf://a b/c", "hf://a/b@x y", "hf://../..@\x1b[2J", "hf:///a/b"],
)
def test_what_is_no_address(address):
    with pytest.raises(FERError, match=r"Invalid value for --ckpt_path\. Expected hf://owner/name") as refused:
        downloaded(address, "--ckpt_path", ["config.json"])
    assert str(refused.value).isprintable()


def test_without_the_package():
    program = "import sys\nsys.modules['huggingface_hub'] = None\nfrom fer_lightning.cli.main import main\nmain()"
    command = [sys.executable, "-c", program, "predict", "0", "--ckpt_path", "hf://a/b"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(PROJECT)})
    assert done.returncode == 2
    assert "'hf://a/b' needs huggingface_hub: pip install 'fer_lightning[hub]'." in done.stderr
    assert "Traceback" not in done.stderr
