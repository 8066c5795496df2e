"""Files that say whatever they like about themselves: used rightly or refused with one message, never a traceback."""

from __future__ import annotations

import copy
import io
import json
import math
import os
import pickle
import zipfile
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from safetensors.torch import save

from fer_lightning.checkpoints.finding import PRETRAINED
from fer_lightning.checkpoints.info import CheckpointInfo
from fer_lightning.checkpoints.reading import load_model, read_checkpoint
from fer_lightning.checkpoints.transfer import load_into
from fer_lightning.checkpoints.weights import SUFFIX, check_state, save_weights
from fer_lightning.data.input_spec import InputSpec
from fer_lightning.errors import FERError
from fer_lightning.inference.model import open_model
from fer_lightning.networks import ExpressionCNN
from fer_lightning.reports.model_card import model_card
from fer_lightning.training.divergence import first_not_finite
from tests.checkpoints.test_info import FULL

BAD = [
    *(None, True, -1, 0, 10**30, math.nan, math.inf, 1e-38, 1e300, "", "x", "../x", "=1+1", "\x1b[2J", "x" * 10_000),
    *([], [None], [math.nan, 1], [[1]], ["a", "a"], [2.0, -1.0], {}, {"a": None}, {1: 2}, {"class_path": 3}),
    *(b"x", torch.tensor(math.nan), torch.zeros(3), (1, 2), {"class_path": "os.system"}, 3 + 4j),
]


def places(value, path=()):
    """The places of all values within values."""
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*path, key))


def put(value, path, new):
    if not path:
        return new
    value = copy.copy(value)
    value[path[0]] = put(value[path[0]], path[1:], new)
    return value


@pytest.mark.parametrize("form", [2, 1])
def test_every_field_may_be_anything(form):
    """Each value is replaced by each bad one: it is taken as it is meant, or there is one message."""
    good = FULL.to_dict()
    if form == 1:
        data = {"names": ["a"], "licence": "", "training_images": {"calm": 1, "jolly": 2}, "split": "grouped"}
        good = {
            "format": 1,
            "class_names": ["calm", "jolly"],
            "preprocessing": good["input_spec"],
            "data": data,
            "class_shares": [0.5, 0.5],
            "config": "model: {flip_at_test: true, loss: {focal_gamma: 2}}\n",
        }
    taken = 0
    for place in places(good):
        for bad in BAD:
            said = ""
            try:
                info = CheckpointInfo.from_dict(put(good, place, bad), "x.ckpt")
                taken += 1
                json.dumps(replace(info, network=None).to_dict(), allow_nan=False)
            except FERError as error:
                said = str(error)
            assert (not said) or ("x.ckpt" in said and len(said) < 600 and said.isprintable())
            assert said or 0 < info.temperature < 1e4
            assert said or len(set(info.class_names)) == len(info.class_names) > 0
    assert taken < 0.35 * len(BAD) * len(list(places(good)))


@pytest.mark.parametrize(
    "text", ["", "null", "[" * 100_000, "{", "\x00", '{"format": 1e400}', "9" * 5000, b"\xff\xfe{"]
)
def test_json_may_be_anything(text):
    with pytest.raises(FERError, match=r"x.onnx"):
        CheckpointInfo.from_dict(text, "x.onnx")


def test_values_that_hold_themselves_come_to_an_end():
    endless: list[object] = []
    endless.append(endless)
    for field in ("measured", "network", "class_names", "risk_curve", "training"):
        with pytest.raises(FERError, match="damaged"):
            CheckpointInfo.from_dict(FULL.to_dict() | {field: {"a": endless}}, "x")


@pytest.mark.parametrize(
    "given",
    [
        *({"image_size": 0}, {"image_size": 10**9}, {"image_size": 1.5}, {"image_size": True}, {"color": "blue"}),
        *({"interpolation": "lanczos"}, {"faces": "none"}, {"mean": [math.nan]}, {"mean": [1, 2]}, {"mean": 3}),
        *({"std": [0]}, {"std": [1e-38]}, {"std": [math.inf]}, {"std": ["1"]}, {"margin": math.nan}, {"detector": 3}),
    ],
)
def test_an_input_specification_has_possible_numbers_wherever_they_come_from(given):
    with pytest.raises(FERError, match=rf"--data.{next(iter(given))}"):
        InputSpec(**given)
    with pytest.raises(FERError, match=r"'x.ckpt' is damaged"):
        CheckpointInfo.from_dict(FULL.to_dict() | {"input_spec": given}, "x.ckpt")


def _checkpoint(**changes):
    spec = {"image_size": 24, "color": "gray"}
    about = {"format": 2, "class_names": ["a", "b"], "input_spec": spec}
    about["network"] = {"class_path": "fer_lightning.networks.ExpressionCNN", "init_args": {"hidden": 4}}
    network = ExpressionCNN(2, 1, 24, hidden=4).state_dict()
    state = {f"model.network.{name}": value for name, value in network.items()}
    return {"state_dict": state | changes, "fer_lightning": about}


def _save(path, content):
    torch.save(content, path)
    return path


WEIGHT = "model.network.classifier.3.bias"


@pytest.mark.parametrize(
    "value",
    [
        *(torch.tensor([math.nan, 0]), torch.tensor([0, math.inf]), torch.tensor([1, 2]), torch.zeros(2) + 1j),
        *(torch.zeros(2).to_sparse(), torch.zeros(1).expand(2_000_000), torch.zeros(3), torch.zeros(()), "text", None),
        *([1, 2], torch.zeros(2, dtype=torch.bool), torch.nn.Parameter(torch.full((2,), math.nan))),
    ],
    ids=str,
)
def test_weights_are_finite_numbers_of_their_kind(value, tmp_path):
    path = _save(tmp_path / "x.ckpt", _checkpoint(**{WEIGHT: value}))
    with pytest.raises(FERError, match=r"x\.ckpt'"):
        load_model(path)


def test_good_weights_are_taken(tmp_path):
    assert load_model(_save(tmp_path / "x.ckpt", _checkpoint())).class_names == ("a", "b")


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf, 1e-30])
def test_a_temperature_is_a_number_above_zero(temperature, tmp_path):
    state = {"model.temperature": torch.tensor(temperature)}
    with pytest.raises(FERError, match="temperature"):
        read_checkpoint(_save(tmp_path / "x.ckpt", _checkpoint(**state)))
    with pytest.raises(FERError, match="temperature"):
        CheckpointInfo.from_dict(FULL.to_dict() | {"temperature": temperature}, "x")


class Touch:
    """What a pickle can do."""

    def __reduce__(self):
        return os.system, ("touch ran",)


def _archive(entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(f"archive/{name}", content)
    return buffer.getvalue()


def _compressed() -> bytes:
    buffer = io.BytesIO()
    torch.save(_checkpoint(), buffer)
    with zipfile.ZipFile(buffer) as archive:
        entries = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    return _archive(entries, zipfile.ZIP_DEFLATED)


CONTENTS = {
    "empty": b"",
    "text": b"class_names: [a, b]\n",
    "binary": bytes(range(256)) * 40,
    "nul": bytes(5000),
    "pickle": pickle.dumps(Touch()),
    "packed pickle": _archive({"data.pkl": pickle.dumps(Touch()), "version": b"3", "byteorder": b"little"}),
    "archive without anything": _archive({}),
    "archive of something else": _archive({"a.txt": b"hello"}),
    "compressed": _compressed(),
    "huge header": (2**62).to_bytes(8, "little") + b"{}",
    "header without end": (100).to_bytes(8, "little") + b'{"a": ',
    "header that is none": (2).to_bytes(8, "little") + b"[]",
    "metadata that is none": save({"a": torch.zeros(1)}, {"fer_lightning": "[]"}),
    "other weights": save({"a": torch.zeros(1)}),
    "a list": (lambda b: (torch.save([1, 2], b), b.getvalue())[1])(io.BytesIO()),
    "a state that is none": (lambda b: (torch.save({"state_dict": 3}, b), b.getvalue())[1])(io.BytesIO()),
    "numbers for names": (lambda b: (torch.save({"state_dict": {1: 2}, "fer_lightning": {}}, b), b.getvalue())[1])(
        io.BytesIO()
    ),
}


@pytest.mark.parametrize("suffix", [".ckpt", SUFFIX, ".onnx", ".pt2", ".pth"])
@pytest.mark.parametrize("kind", CONTENTS)
def test_anything_may_be_given_as_a_model(kind, suffix, workdir):
    (workdir / f"x{suffix}").write_bytes(CONTENTS[kind])
    with pytest.raises(FERError, match=rf"x\{suffix}") as refused:
        open_model(f"x{suffix}")
    assert str(refused.value).isprintable()
    with pytest.raises(FERError, match=rf"x\{suffix}"):
        load_into(ExpressionCNN(2, 1, 24, hidden=4), f"x{suffix}")
    assert not (workdir / "ran").exists()


@pytest.mark.parametrize("suffix", [".ckpt", SUFFIX, ".onnx", ".pt2"])
def test_folders_pipes_and_devices_are_no_models(suffix, workdir):
    (workdir / f"folder{suffix}").mkdir()
    os.mkfifo(workdir / f"pipe{suffix}")
    (workdir / f"device{suffix}").symlink_to("/dev/zero")
    for name in ("folder", "pipe", "device", "nothing"):
        with pytest.raises(FERError, match=f"{name}{suffix}"):
            open_model(f"{name}{suffix}")


@pytest.mark.parametrize("seed", range(40))
def test_a_changed_file_is_no_traceback(seed, tmp_path):
    """Bytes of a good file are changed, cut or moved."""
    import random

    draw = random.Random(seed)
    content = bytearray(PRETRAINED.read_bytes()[:200_000] if seed % 2 else _compressed())
    for _ in range(draw.choice((1, 5, 50))):
        content[draw.randrange(min(len(content), 4000))] = draw.randrange(256)
    suffix = SUFFIX if seed % 2 else ".ckpt"
    (tmp_path / f"x{suffix}").write_bytes(content[: draw.randrange(len(content))])
    with pytest.raises(FERError, match="x"):
        open_model(tmp_path / f"x{suffix}")


@pytest.mark.parametrize(
    ("network", "given"),
    [
        *(("ExpressionCNN", {"hidden": size}) for size in (0, 10**5, 10**12, "4", None, math.nan, [4], True)),
        *(("ExpressionCNN", {"filters": size}) for size in ([], [10**5] * 3, "abc", {"a": 1}, [[1]], [1] * 40_000)),
        *(("CompactResNet", {"blocks": size}) for size in ([10**9], [1000, 1000, 1000], [], [1.5, 1, 1])),
        *(("TorchvisionModel", {"name": name}) for name in ("", 3, None, ["a"], "get_model", "fcn_resnet50")),
        *(("TimmModel", {"name": name}) for name in ("hf-hub:a/b", "local-dir:/", 3, "../a")),
        *(("ExpressionCNN", {name: 1}) for name in ("self", "nothing", "class_path", "num_classes ")),
    ],
)
def test_a_network_may_have_any_arguments(network, given, tmp_path):
    content = _checkpoint()
    described = {"class_path": f"fer_lightning.networks.{network}", "init_args": given}
    content["fer_lightning"]["network"] = described
    with pytest.raises(FERError) as refusal:
        load_model(_save(tmp_path / "x.ckpt", content))
    assert len(str(refusal.value)) < 3000


def test_a_network_larger_than_its_file_is_not_made(tmp_path):
    """26 GB, if it was."""
    info, state = read_checkpoint(PRETRAINED)
    network = {"class_path": "torch.nn.Linear", "init_args": {"in_features": 80_000, "out_features": 80_000}}
    save_weights(replace(info, network=network), state, tmp_path / "x.safetensors")
    with pytest.raises(FERError, match=r"has 6,400,080,000 numbers, and the file holds"):
        load_model(tmp_path / "x.safetensors")


def test_what_a_training_may_save_can_be_read(tmp_path):
    """A training lets an attention mask and counters of any kind through, so reading does as well."""
    state = {"mask": torch.tensor([0.0, -math.inf]), "seen": torch.zeros(2, dtype=torch.uint8), "w": torch.ones(2)}
    assert first_not_finite(state) == ""
    check_state(state, "x.ckpt")
    for name, value in (("mask", math.nan), ("mask", math.inf), ("w", -math.inf)):
        bad = state | {name: torch.tensor([0.0, value])}
        assert first_not_finite(bad) == name
        with pytest.raises(FERError, match=f"'{name}': it has numbers that are NaN or infinite"):
            check_state(bad, "x.ckpt")


@pytest.mark.parametrize("names", [["jolly", "Jolly"], ["\u00e9", "e\u0301"], ["a", "a\u200b"]])
def test_classes_that_can_be_taken_for_one_are_refused_in_files_too(names):
    with pytest.raises(FERError, match="class_names"):
        CheckpointInfo.from_dict(FULL.to_dict() | {"class_names": names}, "x")


def test_a_configuration_without_bounds_is_in_no_card():
    names = "abcdefghij"
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n"
    bomb += "\n".join(f"{b}: &{b} [{', '.join(['*' + a] * 9)}]" for a, b in pairwise(names))
    with pytest.raises(FERError, match="more than 50,000 values"):
        model_card("x", replace(FULL, config=bomb))
