"""Exported graphs from somewhere: no code of theirs runs, none runs for ever, and what they answer is checked."""

from __future__ import annotations

import io
import json
import math
import pickle
import pickletools
import zipfile

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from fer_lightning.checkpoints.info import KEY, CheckpointInfo
from fer_lightning.data.input_spec import InputSpec
from fer_lightning.errors import FERError
from fer_lightning.export.graph import DeployedModel, graph_bytes
from fer_lightning.inference.model import open_model
from fer_lightning.model.expression_model import ExpressionModel
from fer_lightning.networks import ExpressionCNN, TorchvisionModel

SPEC = InputSpec(24, "gray")
ABOUT = json.dumps(CheckpointInfo(("a", "b"), SPEC).to_dict())


class Touch:
    """What a pickle can do."""

    def __reduce__(self):
        return open, ("ran", "w")


@pytest.fixture(scope="module")
def good():
    model = ExpressionModel(ExpressionCNN(2, 1, 24, hidden=4), ("a", "b"), SPEC).eval()
    return graph_bytes(model, CheckpointInfo(("a", "b"), SPEC), ".pt2")


def changed(content: bytes, change, method: int = zipfile.ZIP_STORED) -> bytes:
    """A .pt2 file after `change` has had its entries."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change({name.partition("/")[2]: name for name in entries}, entries)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, entry in entries.items():
            archive.writestr(name, entry)
    return buffer.getvalue()


def of_model(change):
    """A change of the graph in JSON."""

    def made(names, entries):
        model = json.loads(entries[names["models/model.json"]])
        change(model["graph_module"]["graph"], model)
        entries[names["models/model.json"]] = json.dumps(model).encode()

    return made


def of_entry(start, content):
    def made(names, entries):
        name = next(name for name in names if name.startswith(start))
        entries[names[name]] = content

    return made


def added(name, content):
    def made(names, entries):
        root = next(iter(entries)).partition("/")[0]
        entries[f"{root}/{name}"] = content

    return made


def target(value):
    return of_model(lambda graph, model: graph["nodes"][0].update(target=value))


def config(where, **changes):
    def made(names, entries):
        name = names[f"data/{where}/model_{where}_config.json"]
        content = json.loads(entries[name])
        next(iter(content["config"].values())).update(changes)
        entries[name] = json.dumps(content).encode()

    return made


def pickled(names, entries):
    """Weights that say they are a pickle."""
    config("weights", use_pickle=True)(names, entries)
    for name in names:
        if name.startswith("data/weights/weight_"):
            entries[names[name]] = pickle.dumps(Touch())


def bomb(graph, model):
    graph["nodes"][0] = {
        "target": "torch.ops.aten.expand.default",
        "inputs": [
            {"name": "self", "arg": graph["nodes"][0]["inputs"][0]["arg"], "kind": 1},
            {"name": "size", "arg": {"as_ints": [10**6, 24, 24, 10**6]}, "kind": 1},
        ],
        "outputs": graph["nodes"][0]["outputs"],
    }


HARMLESS = {
    "a pickle as sample inputs": added("data/sample_inputs/model.pt", pickle.dumps(Touch())),
    "a pickle as old weights": added("data/weights/model.pt", pickle.dumps(Touch())),
    "a pickle as old constants": added("data/constants/model.pt", pickle.dumps(Touch())),
    "guards": of_model(lambda graph, model: model.update(guards_code=["open('ran', 'w')"])),
    "an expression": of_model(
        lambda graph, model: [
            one["sizes"].__setitem__(0, {"as_expr": {"expr_str": "__import__('os').system('touch ran')", "hint": None}})
            for one in graph["tensor_values"].values()
            if one["sizes"]
        ]
    ),
    "a name that is code": of_model(
        lambda graph, model: [one.update(name="x; open('ran', 'w')") for one in graph["nodes"]]
    ),
    "metadata": of_model(
        lambda graph, model: [
            one.update(metadata={"source_fn_stack": "a,torch.os.system", "nn_module_stack": "a"})
            for one in graph["nodes"]
        ]
    ),
    "a kind of output": of_model(lambda _, model: model["graph_module"].update(treespec_namedtuple_fields={"a": 1})),
}

REFUSED = {
    "a pickle as weights": pickled,
    "operations of the system": target("torch.os.system"),
    "operations of python": target("_operator.attrgetter"),
    "operations of math": target("math.factorial"),
    "operations of an extension": target("#a:b"),
    "operations that are none": target(3),
    "operations of nowhere": target("torch.ops.aten.nothing.default"),
    "operations that write files": target("torch.ops.aten.from_file.default"),
    "operations inside": target("torch.ops.aten.__class__.default"),
    "other namespaces": target("torch.ops.higher_order.while_loop"),
    "other inputs": of_model(lambda graph, model: model["graph_module"]["signature"].update(input_specs=[])),
    "other outputs": of_model(lambda graph, model: graph.update(outputs=[])),
    "no operations": of_model(lambda graph, model: graph.update(nodes=[])),
    "operations in a text": of_model(lambda graph, model: graph.update(nodes="abc")),
    "a wrong shape": of_model(lambda graph, model: graph.update(outputs=[graph["nodes"][0]["outputs"][0]])),
    "more memory than there is": of_model(bomb),
    "weights of another size": config(
        "weights",
        tensor_meta={
            "dtype": 7,
            "sizes": [{"as_int": 10**12}],
            "strides": [{"as_int": 0}],
            "storage_offset": {"as_int": 0},
        },
    ),
    "weights of another place": config("weights", path_name="../../x"),
    "weights of another kind": config("weights", tensor_meta={"dtype": 99}),
    "NaN in weights": of_entry("data/weights/weight_0", np.full(1 << 16, math.nan, np.float32).tobytes()),
    "no graph": lambda names, entries: entries.pop(names["models/model.json"]),
    "a graph that is none": of_entry("models/model.json", b"[]"),
    "a graph too deep": of_entry("models/model.json", b"[" * 100_000),
    "nothing about itself": lambda names, entries: entries.pop(names[f"extra/{KEY}"]),
    "nonsense about itself": of_entry("extra/", b"\xff"),
    "NaN about itself": of_entry("extra/", ABOUT.replace('"temperature": 1.0', '"temperature": NaN').encode()),
}


@pytest.mark.parametrize("kind", HARMLESS)
def test_what_could_run_code_is_not_looked_at(kind, good, workdir):
    (workdir / "x.pt2").write_bytes(changed(good, HARMLESS[kind]))
    (workdir / "good.pt2").write_bytes(good)
    images = torch.randint(0, 256, (3, 1, 24, 24), dtype=torch.uint8)
    expected = open_model("good.pt2").probabilities(images)
    assert torch.equal(open_model("x.pt2").probabilities(images), expected)
    assert not (workdir / "ran").exists()


@pytest.mark.parametrize("kind", REFUSED)
def test_a_graph_that_is_none_of_ours_is_refused(kind, good, workdir):
    (workdir / "x.pt2").write_bytes(changed(good, REFUSED[kind]))
    with pytest.raises(FERError, match=r"x\.pt2") as refusal:
        open_model("x.pt2")
    assert str(refusal.value).isprintable()
    assert not (workdir / "ran").exists()


def test_a_compressed_archive_is_refused(good, workdir):
    (workdir / "x.pt2").write_bytes(changed(good, lambda names, entries: None, zipfile.ZIP_DEFLATED))
    with pytest.raises(FERError, match="compressed"):
        open_model("x.pt2")


def is_pickle(content: bytes) -> bool:
    """Whether all of it can be read as a pickle; a weight may begin like one."""
    try:
        return list(pickletools.genops(content))[-1][0].name == "STOP"
    except Exception:
        return False


def test_ours_brings_no_pickle_and_torch_reads_it(good, workdir):
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        for name in archive.namelist():
            assert not is_pickle(archive.read(name)), name
            assert not archive.read(name).startswith(b"PK\x03\x04")
            assert str(workdir.parent).encode() not in archive.read(name)
        assert b"graph.py" not in archive.read(next(name for name in archive.namelist() if name.endswith("model.json")))
    (workdir / "x.pt2").write_bytes(good)
    images = torch.randint(0, 256, (3, 40, 30, 3), dtype=torch.uint8)
    theirs = torch.export.load(workdir / "x.pt2").module()(images)
    assert torch.equal(open_model("x.pt2").answer(images), theirs)


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "shufflenet_v2_x0_5"])
def test_other_networks_answer_as_torch_would(name, workdir):
    torch.manual_seed(0)
    spec = InputSpec(32, "gray")
    model = ExpressionModel(TorchvisionModel(name, None, 2, 1, 32), ("a", "b"), spec).eval()
    (workdir / "x.pt2").write_bytes(graph_bytes(model, CheckpointInfo(("a", "b"), model.input_spec), ".pt2"))
    images = torch.randint(0, 256, (3, 40, 30, 3), dtype=torch.uint8)
    torch.testing.assert_close(open_model("x.pt2").answer(images), DeployedModel(model)(images), atol=1e-6, rtol=0)


def graph(nodes, tensors=(), image=TensorProto.UINT8, answer=TensorProto.FLOAT, names=("image", "probabilities")):
    """An ONNX file from nodes."""
    one = helper.make_tensor_value_info(names[0], image, ["n", "h", "w", 3])
    other = helper.make_tensor_value_info(names[1], answer, ["n", 2])
    made = helper.make_graph(nodes, "g", [one], [other], list(tensors))
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    helper.set_model_props(model, {KEY: ABOUT})
    return model


def constant(name, values):
    return numpy_helper.from_array(np.array(values, np.int64 if isinstance(values[0], int) else np.float32), name)


def answering(*values):
    """A graph that answers every image with the same numbers."""
    nodes = [
        helper.make_node("Shape", ["image"], ["shape"], start=0, end=1),
        helper.make_node("Concat", ["shape", "two"], ["size"], axis=0),
        helper.make_node("Expand", ["values", "size"], ["probabilities"]),
    ]
    return graph(nodes, [constant("two", [2]), constant("values", list(values))])


def endless():
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, [])],
    )
    yes = numpy_helper.from_array(np.array(True), "yes")
    model = answering(0.5, 0.5)
    model.graph.initializer.append(yes)
    model.graph.node.insert(0, helper.make_node("Loop", ["", "yes"], [], body=body))
    return model


def external():
    model = answering(0.5, 0.5)
    tensor = model.graph.initializer[1]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/hostname")
    return model


def large():
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["big"]),
        helper.make_node("ReduceSum", ["big"], ["sum"], keepdims=0),
    ]
    model = answering(0.5, 0.5)
    model.graph.initializer.append(constant("enormous", [10**6, 10**6]))
    nodes[0].input[0] = "enormous"
    model.graph.node.extend(nodes)
    return model


def foreign():
    model = answering(0.5, 0.5)
    model.graph.node[0].domain = "somebody.else"
    model.opset_import.append(helper.make_opsetid("somebody.else", 1))
    return model


def said(model, text):
    helper.set_model_props(model, {KEY: text})
    return model


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (endless, "operation 'Loop'"),
        (external, "in other files"),
        (large, "needs more memory"),
        (foreign, "operation 'Shape'"),
        (lambda: graph([], image=TensorProto.FLOAT), "uint8 images"),
        (lambda: graph([], answer=TensorProto.INT64), "float probabilities"),
        (lambda: graph([], names=("picture", "probabilities")), "'image' alone"),
        (lambda: graph([], names=("image", "answers")), "'probabilities' alone"),
        (lambda: graph([helper.make_node("Nothing", ["image"], ["probabilities"])]), "Cannot read"),
        (lambda: said(answering(0.5, 0.5), ""), "another program"),
        (lambda: said(answering(0.5, 0.5), "{}"), "does not say how"),
    ],
)
def test_an_onnx_graph_that_is_none_of_ours_is_refused(make, message, workdir):
    onnx.save(make(), "x.onnx")
    with pytest.raises(FERError, match=message):
        open_model("x.onnx")


@pytest.mark.parametrize("values", [(math.nan, 0.5), (0.7, 0.7), (-0.5, 1.5), (math.inf, 0.0), (0.0, 0.0)])
def test_answers_that_are_no_probabilities_are_refused(values, workdir):
    onnx.save(answering(*values), "x.onnx")
    with pytest.raises(FERError, match="probabilities"):
        open_model("x.onnx").probabilities(torch.zeros(3, 1, 24, 24, dtype=torch.uint8))


def test_answers_that_are_probabilities_are_taken(workdir):
    onnx.save(answering(0.25, 0.75), "x.onnx")
    found = open_model("x.onnx").probabilities(torch.zeros(3, 1, 24, 24, dtype=torch.uint8))
    torch.testing.assert_close(found, torch.tensor([[0.25, 0.75]] * 3))
