"""Checkpoints, exported files, rows and settings that lie, are damaged, or want to run code."""

from __future__ import annotations

import copy
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tests.hostile.cases import DATA, FIT, PREDICT, Case

OWNED = "../../owned"
"""A file that no case may bring into being; beside the box it is seen as one that is outside."""

FIELDS: dict[str, list[Any]] = {
    "format": [None, "2", -1, 3, 2.5, True, [2]],
    "class_names": [
        None,
        [],
        ["a"],
        "anger",
        [1, 2],
        ["a", "a"],
        ["../../out", "b"],
        ["x/../../y"] * 8,
        ["a\x1b[2J", "b"],
    ],
    "input_spec": [None, {}, [], {"image_size": -1}, {"image_size": 10**9}, {"color": "infrared"}, {"nothing": 1}],
    "network": [None, {}, "x", {"class_path": 5}, {"class_path": "os.system", "init_args": {"command": "touch x"}}],
    "temperature": [0.0, -1.0, float("nan"), float("inf"), "1", None, [1.0], 10**400],
    "learned_prior": [None, [1.0], [float("nan")] * 8, [-1.0] * 8, "x", [[0.1]] * 8],
    "class_prior": ["other", float("nan"), -1, [1.0], [float("inf")] * 8, {}, [[]]],
    "tta_flip": ["yes", None, 5, []],
    "risk_curve": [None, 5, [1], [[1]], [["a", "b", "c"]], [[float("nan")] * 3]],
    "training": [5, [], {"names": 5}, {"class_counts": "x"}, {"class_counts": [-1] * 8}, {"other": 1}],
    "started_from": [5, None, ["x"]],
    "measured": [5, [], {"metrics": 5}, {"metrics": {"accuracy": "x"}}, None],
    "config": [5, "a: [", "5", "- 1", "model: 5", "data: [1]", "model: {network: 5}", "model: {loss: {class_path: 5}}"],
    "version": [5, None, "x" * 100_000],
}

CLASS_PATHS = [
    "unittest.__main__.main",
    "os.system",
    "subprocess.Popen",
    "evil.Net",
    "evil",
    "fer_lightning.__main__.main",
    "fer_lightning.cli.main.main",
    "torch.distributed.run.main",
    "torchvision.__main__.X",
    "builtins.eval",
    "torch.hub.load",
    "fer_lightning.networks.evil.Net",
    "../evil.Net",
    "torch.nn.Identity",
    "",
]

_PL = "lightning.pytorch"
WRITERS = [
    "runs_dir: ../outside",
    "name: ../../outside",
    "data: {prepared_dir: ../outside}",
    "trainer: {default_root_dir: ../outside}",
    "trainer: {logger: {class_path: lightning.pytorch.loggers.CSVLogger, init_args: {save_dir: ../outside}}}",
    f"trainer: {{callbacks: [{{class_path: {_PL}.callbacks.ModelCheckpoint, init_args: {{dirpath: ../outside}}}}]}}",
    "checkpoint_best: {dirpath: ../outside}",
    f"trainer: {{profiler: {{class_path: {_PL}.profilers.SimpleProfiler, init_args: {{dirpath: .., filename: x}}}}}}",
    f"trainer: {{callbacks: [{{class_path: {_PL}.callbacks.LambdaCallback, init_args: {{on_fit_start: os._exit}}}}]}}",
    "model: {lr_scheduler: {class_path: torch.optim.lr_scheduler.LambdaLR, init_args: {lr_lambda: os._exit}}}",
    "model: {optimizer: {class_path: evil.Optimizer}}",
    "model: {loss: {class_path: evil.Loss}}",
    "data: {source: {class_path: evil.Source}}",
    "data: {augmentation: {class_path: torchvision.transforms.v2.Lambda, init_args: {lambd: os._exit}}}",
    "data: {root: /dev/zero, legend: /dev/zero}",
    "data: {exclude: /dev/zero}",
    "data: {identity: (a+)+$}",
    "seed_everything: x",
    "trainer: {max_epochs: [1]}",
]


def checkpoint(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Damage a good checkpoint: the whole of it is given to `change`."""

    def prepare(box: Path) -> None:
        import torch

        content = torch.load(box / "given" / "good.ckpt", weights_only=True)
        change(content)
        torch.save(content, box / "given" / "bad.ckpt")
        evil(box)

    return prepare


def evil(box: Path) -> None:
    """A module in the working folder that says that it ran."""
    (box / "work" / "evil.py").write_text(
        f"import torch\nopen({OWNED!r}, 'w').close()\nclass Net(torch.nn.Module): pass\n"
    )


def said(field: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Let the checkpoint say something about itself."""
    return lambda content: content["fer_lightning"].update({field: value})


def configured(text: str) -> Callable[[dict[str, Any]], None]:
    """Lay YAML over the configuration in a checkpoint."""

    def change(content: dict[str, Any]) -> None:
        import yaml

        about = content["fer_lightning"]
        config = yaml.safe_load(about["config"])
        for name, value in yaml.safe_load(text).items():
            config[name] = (
                {**config[name], **value} if isinstance(value, dict) and isinstance(config.get(name), dict) else value
            )
        about["config"] = yaml.safe_dump(config)

    return change


def weights(value: Any) -> Callable[[dict[str, Any]], None]:
    """Replace one tensor of the network."""

    def change(content: dict[str, Any]) -> None:
        import torch

        name = next(name for name in content["state_dict"] if name.endswith("weight"))
        old = content["state_dict"][name]
        made = {
            "nan": torch.full_like(old, float("nan")),
            "inf": torch.full_like(old, float("inf")),
            "complex": old.to(torch.complex64),
            "int": old.to(torch.int64),
            "shape": old[:1],
            "scalar": torch.tensor(1.0),
            "list": old.tolist(),
            "none": None,
            "sparse": old.flatten(1).to_sparse(),
            "huge view": torch.zeros(1).expand(10**9),
        }
        content["state_dict"][name] = made[value]

    return change


def callbacks(content: dict[str, Any]) -> None:
    """Let a ModelCheckpoint's state point at the folder of somebody else."""
    outside = "../outside"
    for name, state in content["callbacks"].items():
        if "ModelCheckpoint" in name:
            state |= {
                "dirpath": outside,
                "best_model_path": f"{outside}/precious.txt",
                "last_model_path": f"{outside}/precious.txt",
            }
            state |= {
                "best_k_models": {f"{outside}/precious.txt": 0.0},
                "kth_best_model_path": f"{outside}/precious.txt",
            }


class _Runs:
    def __reduce__(self) -> Any:
        return os.system, (f"touch {OWNED}",)


def raw(name: str, content: bytes) -> Callable[[Path], object]:
    """Write a file of the given name."""
    return lambda box: (box / "given" / name).write_bytes(content)


def exported(member: str, content: bytes) -> Callable[[Path], object]:
    """Replace every member of an exported program whose name ends so, or add one."""

    def prepare(box: Path) -> None:
        with zipfile.ZipFile(box / "given" / "good.pt2") as old, zipfile.ZipFile(box / "given" / "bad.pt2", "w") as new:
            there = [item for item in old.namelist() if item.endswith(member)]
            for item in old.namelist():
                new.writestr(item, content if item in there else old.read(item))
            if not there:
                new.writestr(f"{old.namelist()[0].partition('/')[0]}/{member}", content)

    return prepare


def sympy_expression(box: Path) -> None:
    """An exported program whose symbolic sizes are code."""
    with zipfile.ZipFile(box / "given" / "good.pt2") as old, zipfile.ZipFile(box / "given" / "bad.pt2", "w") as new:
        for item in old.namelist():
            content = old.read(item)
            if item.endswith(".json"):
                code = f"__import__('os').system('touch {OWNED}')"
                text = content.decode()
                for number in range(200):
                    text = text.replace(f'"expr_str": "s{number}"', f'"expr_str": "{code}"')
                content = text.encode()
            new.writestr(item, content)


def bomb(box: Path) -> None:
    """A small file that is a large one inside."""
    with zipfile.ZipFile(box / "given" / "bad.pt2", "w", zipfile.ZIP_DEFLATED) as new:
        new.writestr("bad/data/weights/weight_0", b"\0" * 3_000_000_000)


YAML_BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9)
)


def onnx_with(change: str) -> Callable[[Path], None]:
    """An ONNX file of ours with other metadata, or with a loop without an end."""

    def prepare(box: Path) -> None:
        import onnx
        from onnx import TensorProto, helper

        model = onnx.load(box / "given" / "good.onnx")
        about = next(one for one in model.metadata_props if one.key == "fer_lightning")
        if change == "loop":
            body = helper.make_graph(
                [helper.make_node("Identity", ["c"], ["d"]), helper.make_node("Identity", ["x"], ["y"])],
                "body",
                [
                    helper.make_tensor_value_info("i", TensorProto.INT64, []),
                    helper.make_tensor_value_info("c", TensorProto.BOOL, []),
                    helper.make_tensor_value_info("x", TensorProto.FLOAT, None),
                ],
                [
                    helper.make_tensor_value_info("d", TensorProto.BOOL, []),
                    helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
                ],
            )
            graph = model.graph
            old = graph.output[0].name
            graph.node.extend(
                [
                    helper.make_node(
                        "Constant", [], ["yes"], value=helper.make_tensor("v", TensorProto.BOOL, [], [True])
                    ),
                    helper.make_node("Loop", ["", "yes", old], ["again"], body=body),
                ]
            )
            graph.output[0].name = "again"
            helper.set_model_props(model, {"fer_lightning": about.value})
            graph.node[-1].output[0] = "again"
        elif change == "names":
            for node in model.graph.node:
                node.output[:] = ["other" if name == "probabilities" else name for name in node.output]
            model.graph.output[0].name = "other"
        elif change == "external":
            tensor = max(model.graph.initializer, key=lambda one: len(one.raw_data))
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="../../outside/precious.txt")
        else:
            about.value = change
        onnx.save(model, box / "given" / "bad.onnx")

    return prepare


def rows_beside(settings: Any, rows: str = "") -> Callable[[Path], None]:
    """Rows with a file of settings beside them."""

    def prepare(box: Path) -> None:
        names = "anger,contempt,disgust,fear,happiness,neutral,sadness,surprise"
        text = rows or f"source,label,{names}\n" + "a.png,anger,0.3,0.1,0.1,0.1,0.1,0.1,0.1,0.1\n" * 5
        (box / "given" / "rows.csv").write_text(text)
        beside = settings if isinstance(settings, str) else json.dumps(settings)
        (box / "given" / "rows.csv.settings.json").write_text(beside)
        with open(box / "given" / "bad.ckpt", "wb") as stream:
            pickle.dump(_Runs(), stream)

    return prepare


def crossval_of(name: str, text: str) -> Callable[[Path], None]:
    """A begun cross-validation with a damaged file."""

    def prepare(box: Path) -> None:
        for fold in range(2):
            run = box / "work" / "runs" / "cv" / f"seed0-fold{fold}"
            (run / "test").mkdir(parents=True)
            (run / "checkpoints").mkdir()
            (run / "summary.json").write_text("{}")
            (run / "test" / "metrics.json").write_text(text if name == "metrics.json" else "{}")
        (box / "work" / "runs" / "cv" / "options.json").write_text(text if name == "options.json" else "[]")

    return prepare


def _put(part: str, value: Any, content: dict[str, Any]) -> None:
    content[part] = value


def _folder(name: str, box: Path) -> None:
    (box / name).mkdir()


def _pipe(name: str, box: Path) -> None:
    os.mkfifo(box / name)


def cases() -> Iterator[tuple[str, Case]]:
    """Names and cases."""
    bad = "../given/bad.ckpt"
    for field, values in FIELDS.items():
        for number, value in enumerate(values):
            verb = ("predict --faces whole --input ../given/photos --ckpt_path", f"test {DATA} --name t --ckpt_path")[
                number % 2
            ]
            yield (
                f"checkpoint says {field} {number}",
                Case(f"{verb} {bad}", checkpoint(said(field, copy.deepcopy(value)))),
            )
    for number, path in enumerate(CLASS_PATHS):
        network = {"class_path": path, "init_args": {}}
        for verb in (
            "predict --input ../given/photos --ckpt_path",
            f"fit {DATA} --trainer.max_epochs 2 --name t --ckpt_path",
        ):
            name = f"checkpoint names network {number} {verb.split()[0]}"
            yield name, Case(f"{verb} {bad}", checkpoint(said("network", network)), refused=True)
    for number, text in enumerate(WRITERS):
        for verb in ("fit --trainer.max_epochs 2 --ckpt_path", "test --ckpt_path"):
            name = f"checkpoint's configuration {number} {verb.split()[0]}"
            yield name, Case(f"{verb} {bad}", checkpoint(configured(text)))
    for kind in ("nan", "inf", "complex", "int", "shape", "scalar", "list", "none", "sparse", "huge view"):
        for verb in (
            f"{PREDICT.split(' --ckpt')[0]} --faces whole --input ../given/photos --ckpt_path",
            f"test {DATA} --name t --ckpt_path",
        ):
            yield f"weights {kind} {verb.split()[0]}", Case(f"{verb} {bad}", checkpoint(weights(kind)), refused=True)
    go_on = f"fit --ckpt_path {bad} --trainer.max_epochs 2 --name t"
    yield "callbacks' state points elsewhere", Case(go_on, checkpoint(callbacks))
    for part in ("callbacks", "loops", "optimizer_states", "lr_schedulers", "epoch", "global_step", "training_figures"):
        for number, value in enumerate((None, 5, "x", [], {}, [{}], {"x": 1}, [[float("nan")]], -5)):
            change = partial(_put, part, value)
            yield f"checkpoint's {part} {number}", Case(go_on, checkpoint(change))
    yield "no state", Case(go_on, checkpoint(lambda content: content.pop("state_dict")), refused=True)
    yield "empty state", Case(go_on, checkpoint(lambda content: content["state_dict"].clear()), refused=True)
    yield "YAML bomb in a checkpoint", Case(go_on, checkpoint(said("config", YAML_BOMB)))
    yield "deep YAML in a checkpoint", Case(go_on, checkpoint(said("config", "[" * 100_000)), refused=True)
    contents = {
        "pickle": pickle.dumps(_Runs()),
        "text": b"hello",
        "empty": b"",
        "zip": b"PK\x03\x04 and no more",
        "header": struct.pack("<Q", 2**60) + b"{}",
        "json": struct.pack("<Q", 2) + b"{}",
        "nested": struct.pack("<Q", 200_000) + b"[" * 200_000,
        "zeros": bytes(100_000),
    }
    for ending in ("ckpt", "safetensors", "onnx", "pt2", "pth"):
        for kind, content in contents.items():
            words = f"predict --input ../given/photos --ckpt_path ../given/bad.{ending}"
            yield f"{kind} as .{ending}", Case(words, raw(f"bad.{ending}", content), refused=True)
        folder = partial(_folder, f"given/bad.{ending}")
        yield (
            f"folder as .{ending}",
            Case(f"predict --input ../given/photos --ckpt_path ../given/bad.{ending}", folder, refused=True),
        )
        fifo = partial(_pipe, f"given/bad.{ending}")
        yield (
            f"pipe as .{ending}",
            Case(f"predict --input ../given/photos --ckpt_path ../given/bad.{ending}", fifo, refused=True),
        )
    for device in ("/dev/zero", "/dev/stdin", "/dev/null"):
        yield f"{device} as checkpoint", Case(f"predict --input ../given/photos --ckpt_path {device}", refused=True)
        yield f"{device} as weights", Case(f"{FIT} --model.fine_tuning.weights {device}", refused=True)
    for kind in ("pickle", "text", "zeros"):
        words = f"{FIT} --model.fine_tuning.weights ../given/bad.pth"
        yield f"{kind} to start from", Case(words, raw("bad.pth", contents[kind]), refused=True)
    pt2 = "predict --input ../given/photos --ckpt_path ../given/bad.pt2"
    yield "pickle in sample inputs", Case(pt2, exported("data/sample_inputs/model.pt", pickle.dumps(_Runs())))
    yield "code in sizes", Case(pt2, sympy_expression)
    yield "bomb as .pt2", Case(pt2, bomb, refused=True)
    for number, content in enumerate((b"", b"5", b"[]", b"{}", b"\xff\xfe", b"[" * 100_000)):
        yield f"program {number}", Case(pt2, exported("models/model.json", content), refused=True)
        yield f"what a program says {number}", Case(pt2, exported("extra/fer_lightning", content), refused=True)
    onnx = "predict --input ../given/photos --ckpt_path ../given/bad.onnx"
    for number, change in enumerate(("", "5", "[]", "{}", "[" * 100_000, '{"format": 2}', "names", "external", "loop")):
        yield f"ONNX {number}", Case(onnx, onnx_with(change), refused=True)
    for number, settings in enumerate(
        (
            {"model": "../given/bad.ckpt"},
            {"model": 5},
            {"checkpoint": ["x"]},
            [],
            "5",
            "[" * 100_000,
            "",
            "\xff",
            {"model": "/dev/zero"},
        )
    ):
        yield f"settings beside rows {number}", Case("estimate_prior --rows ../given/rows.csv", rows_beside(settings))
    for number, rows in enumerate(
        (
            "",
            "\0",
            "a,b\n1,2\n",
            "source,label,anger\nx,y,z\n",
            "x" * 200_000,
            "source,anger\n" + "a,nan\n" * 9,
            '"' * 9999,
        )
    ):
        words = "estimate_prior --rows ../given/rows.csv --ckpt_path pretrained"
        yield f"rows {number}", Case(words, rows_beside({}, rows or "\n"), refused=True)
    names = "anger,contempt,disgust,fear,happiness,neutral,sadness,surprise"
    for number, row in enumerate(
        ("nan," * 7 + "nan", "0," * 7 + "0", "inf," * 7 + "1", "-1," * 7 + "2", "1e39," * 7 + "1", "5," * 7 + "5")
    ):
        text = f"source,label,{names}\n" + f"a.png,anger,{row}\n" * 5
        words = "estimate_prior --rows ../given/rows.csv --ckpt_path pretrained"
        yield f"rows that are no probabilities {number}", Case(words, rows_beside({}, text), refused=True)
    for name in ("options.json", "metrics.json"):
        for number, text in enumerate(
            ("", "5", "[1]", "{}", '{"metrics": 5}', "[" * 100_000, "\0", '{"subset": "testing", "metrics": {}}')
        ):
            words = f"crossval {DATA} --name cv --folds 2 --trainer.max_epochs 1"
            yield f"{name} of a cross-validation {number}", Case(words, crossval_of(name, text))
    configs = {
        "bomb": YAML_BOMB,
        "deep": "[" * 100_000,
        "number": "5",
        "list": "- 1",
        "tag": "!!python/object/apply:os.system ['touch ../../owned']",
        "binary": "\0\1\2",
        "same": "&a [*a]",
        "keys": "{[1]: 2, {a: b}: 3, null: 4, 5: 6}",
        "numbers": "{data: {1: 2}}",
        "date": "seed_everything: 2020-01-01",
        "long": "name: " + "x" * 3_000_000,
        "merge": "<<: 5",
    }
    for kind, text in configs.items():
        prepare = raw("c.yaml", text.encode())
        yield f"configuration {kind}", Case(f"{FIT} --config ../given/c.yaml", prepare, refused=True)
        yield f"written out {kind}", Case(["fit", "--config", text[:50_000]], refused=True)
    for device in ("/dev/zero", "/dev/stdin", "/dev/tty", "../given/pipe", "../given", "/dev/full"):
        pipe = partial(_pipe, "given/pipe") if "pipe" in device else None
        yield f"{device} as configuration", Case(f"{FIT} --config {device}", pipe, refused=True)
