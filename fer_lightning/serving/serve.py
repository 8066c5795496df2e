"""`serve`: a REST service, and a page for people, with a model."""

import io
import ipaddress
import os
import signal
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from PIL import Image

from fer_lightning.checkpoints.finding import NAMED, find_checkpoint, name_of
from fer_lightning.cores import available_cpus
from fer_lightning.errors import FERError, MissingPackageError, check_range
from fer_lightning.files import no_file
from fer_lightning.inference.bundle import is_bundle, open_bundle
from fer_lightning.inference.recognizer import ExpressionRecognizer
from fer_lightning.names import check_name, printable
from fer_lightning.reports.model_card import model_card, must_not_be_used_for
from fer_lightning.version import __version__

if TYPE_CHECKING:
    from fer_lightning.checkpoints.info import CheckpointInfo
    from fer_lightning.serving.batcher import Batcher
    from fer_lightning.serving.limits import Limits

TOKEN = "FER_TOKEN"  # noqa: S105 (the name of the variable)
"""The environment variable that the token may come from: a command line can be read by everybody on the machine."""

_SHORTEST_TOKEN = 16
_TO_MAKE_ONE = "To make one: python -c 'import secrets; print(secrets.token_urlsafe())'"


def serve(
    ckpt_path: str = "pretrained",
    host: str = "127.0.0.1",
    port: int = 8000,
    token_file: str | None = None,
    allow_origin: list[str] | None = None,
    faces: Literal["auto", "whole", "detect", "align", "box"] = "auto",
    detector: str | None = None,
    class_prior: Literal["training", "uniform"] | float | list[float] = "training",
    target_risk: float | None = None,
    tta_flip: bool | None = None,
    max_megabytes: float = 32.0,
    max_megapixels: float = 50.0,
    max_images: int = 32,
    max_waiting: int = 256,
    timeout: float = 30.0,
    stop_timeout: float = 10.0,
    batch_size: int = 32,
    batch_ms: float = 5.0,
    workers: int | None = None,
    on_device: bool = True,
    device: str = "auto",
    name: str = "default",
    runs_dir: str = "runs",
    network: list[str] | None = None,
) -> None:
    """Answer requests (REST) with a model, and show a page for people.

    Images stay in the memory of this process: none is written, logged or sent on. Ends with Ctrl-C or SIGTERM, once
    what has begun is answered.

    Args:
        ckpt_path: best, last, pretrained, a checkpoint, or what `export` wrote (.safetensors, .onnx, .pt2, a folder),
            also hf://OWNER/NAME.
        host: Address to listen at, such as 0.0.0.0 for all that this machine has. Any but a local one needs a token.
            It is not encrypted: put it behind something that speaks TLS.
        port: Port to listen at; 0 for a free one, which is said.
        token_file: File with the token that clients have to send (Authorization: Bearer); or the environment variable
            FER_TOKEN holds it. Without one, whoever reaches the address may ask.
        allow_origin: Other web pages that may ask, as https://app.example; none by default.
        faces: Find and cut out all faces (detect), and turn them upright (align) or not (box) whatever the network was
            trained on, or take each image as one face (whole); auto does as in training.
        detector: What finds faces: yunet, or a YuNet model file (.onnx) for OpenCV.
        class_prior: How frequent the classes are in these images: training, uniform, a number from 0 to 10 or a
            frequency for each class, as for predict.
        target_risk: Fraction of wrong answers to accept; others become 'uncertain'. Without it, always answer.
        tta_flip: Whether to answer with the mean of a face and its mirror image, which takes the network twice as long;
            without it, as the model says.
        max_megabytes: Size of a request.
        max_megapixels: Pixels of an image, in millions.
        max_images: Images in a request.
        max_waiting: Images of all clients that may wait for an answer; others are told to come again.
        timeout: Seconds for a request, from its beginning to its answer.
        stop_timeout: Seconds for what has begun when it ends.
        batch_size: Faces that the network takes at once.
        batch_ms: Milliseconds that a batch waits for images that are being decoded.
        workers: Threads that decode images and find faces; by default one a core.
        on_device: Let the page run the model in the visitor's browser too, so that pictures need not leave it. That
            hands the model to whoever may ask. Needs the extra `onnx`; without it, the page does not offer it.
        device: Where the network runs: auto, or a device as torch names it.
        name: Name of the run that best and last are of.
        runs_dir: Folder that holds the runs.
        network: Class paths of the network and of the classes in it, where the checkpoint names some of another package
            and you trust them.

    Raises:
        FERError: If something does not exist, fit, or work here.
    """
    check_range("--port", port, 0, 65_535)
    check_range("--max_megabytes", max_megabytes, 0.001, 1000)
    check_range("--max_megapixels", max_megapixels, 0.001, 178)
    check_range("--max_images", max_images, 1, 10_000)
    check_range("--max_waiting", max_waiting, max_images, 1_000_000)
    check_range("--timeout", timeout, 0.1, 3600)
    check_range("--stop_timeout", stop_timeout, 0, 3600)
    check_range("--batch_ms", batch_ms, 0, 1000)
    check_range("--workers", 1 if workers is None else workers, 1, 256)
    token = _token(token_file)
    local = _is_local(host)
    if not local and not token:
        raise FERError(
            f"--host {printable(host)} lets other machines ask, which needs a token. Expected --token_file or the "
            f"environment variable {TOKEN} with {_SHORTEST_TOKEN} signs or more. {_TO_MAKE_ONE}"
        )
    path = find_checkpoint(ckpt_path, Path(runs_dir) / check_name(name, "--name"))
    try:
        from fer_lightning.serving.app import OPEN_PATHS, Service, make_app
        from fer_lightning.serving.batcher import Batcher
        from fer_lightning.serving.gate import Guard
        from fer_lightning.serving.limits import Limits
        from fer_lightning.serving.metrics import Metrics
        from fer_lightning.serving.running import listening, run
    except ImportError as error:
        raise MissingPackageError(f"serve needs {error.name}: pip install 'fer_lightning[serve]'.") from None
    cores = max(available_cpus(keep=0), 1)
    if "OMP_NUM_THREADS" not in os.environ:  # threads that wait for each other would take the time of those that decode
        _set_threads(max(1, cores // 4), path)
    recognizer = ExpressionRecognizer(
        path, faces, class_prior, target_risk, detector, batch_size, 0, device, network or (), tta_flip=tta_flip
    )
    limits = Limits(
        round(max_megabytes * 1e6), round(max_megapixels * 1e6), max_images, max_waiting, timeout, min(10.0, timeout)
    )
    origins = [origin.rstrip("/").lower() for origin in allow_origin or ()]
    names = {"127.0.0.1", "localhost", "[::1]", f"[{host}]" if ":" in host else host.lower()} if local else set()
    guard = Guard(token, names, origins, OPEN_PATHS)
    batcher = Batcher(recognizer, limits, batch_size, batch_ms / 1000, cores if workers is None else workers)
    try:
        _try_out(batcher)
        metrics = Metrics(lambda: batcher.waiting)
        batcher.on_batch = metrics.batch
        about = _about(recognizer, path, ckpt_path if ckpt_path in NAMED else _name_of(path), limits)
        browser = _browser(recognizer, path, about["name"]) if on_device else {}
        service = Service(about, batcher, limits, metrics, "Names the expressions of faces in images.", browser)
        with listening(host, port) as listener:
            where = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
            print(f"Serving {printable(ckpt_path)} at {where} (the page; POST {where}/v1/predict). Ctrl-C ends it.")
            print("Images stay in this process: none is written, logged or sent on.", flush=True)
            caught = run(make_app(service, guard, origins), listener, limits, stop_timeout)
        for number in caught:  # the front door gives it its status and its line, and heeds no later one
            signal.raise_signal(number)
    finally:
        batcher.close()


def _set_threads(number: int, path: Path) -> None:
    if not is_bundle(path):  # which does without torch
        import torch

        torch.set_num_threads(number)


def _name_of(path: Path) -> str:
    return path.resolve().parent.name if is_bundle(path) else name_of(path)


def _info_of(path: Path) -> "CheckpointInfo":
    if is_bundle(path):
        return open_bundle(path)[1]
    from fer_lightning.inference.model import info_of_file

    return info_of_file(path)


def _browser(recognizer: ExpressionRecognizer, path: Path, name: str) -> dict[str, tuple[bytes, str]]:
    """What the page needs to run the model; none, and a line that says why, where that cannot be had."""
    from fer_lightning.serving.browser import browser_files

    try:
        return browser_files(recognizer, path, name)
    except (FERError, OSError, ValueError, KeyError, TypeError) as error:  # what a folder holds may be anything
        print(f"The page does not offer to run the model in the browser: {error}", flush=True)
        return {}


def _try_out(batcher: "Batcher") -> None:
    """Open the detector and answer once, so that what is wrong with them is said now and nobody waits for them."""
    content = io.BytesIO()
    Image.new("RGB", (64, 64)).save(content, "PNG")
    for whole in (True, None):
        for answer in batcher.submit([content.getvalue()], whole):
            answer.result()


def _token(file: str | None) -> str:
    """The token; empty without one."""
    where, text = TOKEN, os.environ.get(TOKEN, "")
    if file is not None:
        where = f"--token_file '{printable(file)}'"
        try:
            if (why := no_file(file)) or os.path.getsize(file) > 10_000:
                raise FERError(
                    f"Invalid value for --token_file. Expected a file with a token: {why or 'it is too large'}."
                )
            text = Path(file).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            said = getattr(error, "strerror", None) or "it is not text in UTF-8"
            raise FERError(f"Invalid value for --token_file. Cannot read '{printable(file)}': {said}.") from None
    text = text.strip()
    if (file is not None or text) and not (len(text) >= _SHORTEST_TOKEN and text.isascii() and text.isprintable()):
        raise FERError(
            f"The token in {where} cannot be used. Expected {_SHORTEST_TOKEN} printable ASCII signs or more. Received "
            f"{len(text)} signs. {_TO_MAKE_ONE}"
        )
    return text


def _is_local(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _about(recognizer: ExpressionRecognizer, path: Path, name: str, limits: "Limits") -> dict[str, Any]:
    """What `/v1/model` answers."""
    info, model = _info_of(path), recognizer.model
    card = model_card(printable(name), info)
    prior = zip(model.class_names, model.effective_prior, strict=False)
    return {
        "name": printable(name),
        "version": __version__,
        "made_with": info.version,
        "classes": list(model.class_names),
        "input": recognizer.input_spec.to_dict(),
        "class_prior": {label: round(float(value), 6) for label, value in prior},
        "threshold": recognizer.threshold,
        "limits": asdict(limits),
        "must_not_be_used_for": must_not_be_used_for(card),
        "card": card,
    }
