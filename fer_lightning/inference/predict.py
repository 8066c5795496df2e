"""`predict`: images, videos and cameras in, one row a face out."""

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union

from tqdm import tqdm

from fer_lightning.checkpoints.finding import digest_of, find_checkpoint
from fer_lightning.cores import available_cpus
from fer_lightning.errors import FERError, check_range
from fer_lightning.inference.annotate import Annotations
from fer_lightning.inference.bundle import BundleModel
from fer_lightning.inference.cluster_work import Work
from fer_lightning.inference.films import film_rate
from fer_lightning.inference.frames import FacesOption, Frame, expected, look
from fer_lightning.inference.on_engine import check_engine, predict_on_ray
from fer_lightning.inference.outputs import check_places, folders_of, for_the_terminal, mark_folder, own_folder
from fer_lightning.inference.parts_folder import PartsFolder
from fer_lightning.inference.recognizer import ExpressionRecognizer
from fer_lightning.inference.rows import RowWriter
from fer_lightning.inference.shard import Shard, check_shard
from fer_lightning.inference.sources import list_sources
from fer_lightning.inference.terminal import Answers, Counts
from fer_lightning.inference.timeline import Timeline
from fer_lightning.inference.tracks import Tracks
from fer_lightning.names import check_name, printable
from fer_lightning.program import print_any_name
from fer_lightning.screen import say
from fer_lightning.storage import without_secret
from fer_lightning.version import __version__

if TYPE_CHECKING:
    from fer_lightning.inference.explain import Explanations


def predict(
    ckpt_path: str | None = None,
    input: list[str] | None = None,
    output: str | None = None,
    faces: FacesOption = "auto",
    detector: str | None = None,
    detection_size: int = 640,
    class_prior: Literal["training", "uniform"] | float | list[float] = "training",
    target_risk: float | None = None,
    tta_flip: bool | None = None,
    frame_stride: int = 1,
    fps: float | None = None,
    smooth: float = 0.0,
    annotate: str | None = None,
    timeline: str | None = None,
    explain: str | None = None,
    batch_size: int = 64,
    workers: int | None = None,
    device: str = "auto",
    name: str = "default",
    runs_dir: str = "runs",
    network: list[str] | None = None,
    overwrite: bool = False,
    shard: str | None = None,
    engine: Literal["ray"] | None = None,
) -> None:
    """Name the expressions in images and video.

    Says on the terminal what is in a few images. Of more, and of films, it writes one row a face as they come, into a
    folder of their own in --runs_dir, or to --output; an image without a face, or one that cannot be read, is a row
    too. With the same settings, a second run goes on where a CSV or JSON Lines file ends, also with other input.

    Args:
        ckpt_path: best, last, pretrained, a checkpoint, or what `export` wrote (.safetensors, .onnx, .pt2, a folder),
            also hf://OWNER/NAME. Without it, best if there is a --name, else pretrained.
        input: Images, videos, folders of them, patterns, addresses (http, s3, rtsp and such), the number of a
            camera, or - for paths on standard input. They may also stand without --input.
        output: File for the rows, ending in .csv, .jsonl or .parquet; - writes CSV to standard output.
        faces: Find and cut out all faces (detect), and turn them upright (align) or not (box) whatever the network was
            trained on, or take each image as one face (whole), or do so only where none is found (detect_or_whole; not
            in videos); auto does as in training, and finds faces in videos.
        detector: What finds faces: yunet, or a YuNet model file (.onnx) for OpenCV.
        detection_size: The longer side in pixels at which faces are looked for. For small faces in large images, take
            that of the images; above 640, it is done in tiles of that size, and takes as much longer.
        class_prior: How frequent the classes are in these images: training, as its training set the network up;
            uniform, all the same; a number from 0 to 10, those frequencies to that power; or a frequency for each
            class. Answers are moved by Bayes' rule.
        target_risk: Fraction of wrong answers to accept; others become 'uncertain'. Without it, always answer.
        tta_flip: Whether to answer with the mean of a face and its mirror image, which takes the network twice as long;
            without it, as the model says.
        frame_stride: Of a video, take every n-th frame.
        fps: Of a video, take about so many frames a second instead.
        smooth: Time constant in seconds over which a face's probabilities in a video are averaged; 0 for none.
        annotate: Write annotated images: a folder, or a file ending in .mp4 for one video.
        timeline: Write a plot (.png) of how probable each expression is over a video's time.
        explain: Write what speaks for the answer in each face into this folder (Grad-CAM).
        batch_size: Faces that the network takes at once.
        workers: Processes that decode and find faces ahead; by default as many as there are cores where faces are
            looked for, one less where not.
        device: Where the network runs: auto, or a device as torch names it.
        name: Name of the run that best and last are of.
        runs_dir: Folder that holds the runs.
        network: Class paths of the network and of the classes in it, where the checkpoint names some of another package
            and you trust them.
        overwrite: Replace what is there already, and begin rows anew instead of going on with them. Without it, no file
            is replaced that predict has not written, and nothing that is read ever is.
        shard: Look at one part of the input alone, for array jobs: 3/10 is the third of ten runs of neighbors in the
            order of the input, and writes rows.csv as rows-00003-of-00010.csv. A film is in one part.
        engine: ray spreads the work over a cluster (RAY_ADDRESS, one that runs here, or one that is started for this),
            and --output is a folder that all machines share, or an address, for parts in Parquet.

    Raises:
        FERError: If something does not exist, fit, or work here.
    """
    if not input:
        raise FERError("predict needs something to look at: images, videos or folders of them, as predict photo.jpg.")
    if ckpt_path is None:
        ckpt_path = "pretrained" if name == "default" else "best"
    check_range("--frame_stride", frame_stride, 1)
    check_range("--smooth", smooth, 0)
    if fps is not None:
        check_range("--fps", fps, 0.001)
    if workers is not None:
        check_range("--workers", workers, 0, 256)
    part = Shard.parse(shard) if shard is not None else None
    print_any_name()
    sources = list_sources(input)
    videos = [source for source in sources if source.kind != "image"]
    if timeline and len(videos) > 1:
        raise FERError("--timeline is about one video: give one at a time.")
    if annotate and annotate.lower().endswith(".mp4") and (len(sources) > 1 or not videos):
        raise FERError("--annotate with an .mp4 file takes one video. Choose a folder for several or for images.")
    if part:
        check_shard(output, annotate, timeline, sources)
        output = part.path(str(output))
    if engine:
        options = {"--annotate": annotate, "--timeline": timeline, "--explain": explain, "--shard": shard}
        check_engine(output, workers, options, sources)
        parts_folder = PartsFolder(str(output))
    path = find_checkpoint(ckpt_path, Path(runs_dir) / check_name(name, "--name"))
    read: list[str | os.PathLike[str]] = [path, *([detector] if detector else []), *(source.name for source in sources)]
    check_places(None if engine else output, annotate, timeline, explain, read, overwrite)
    if few := output is None and for_the_terminal(sources):
        batch_size = min(batch_size, 16)  # less memory for a picture of a crowd
    how_to_answer: dict[str, Any] = {"faces": faces, "class_prior": class_prior, "target_risk": target_risk}
    how_to_answer |= {"detector": detector, "batch_size": batch_size, "trusted": tuple(network or ())}
    how_to_answer |= {"detection_size": detection_size, "tta_flip": tta_flip}
    here = "cpu" if engine else device
    recognizer = ExpressionRecognizer(path, workers=workers, device=here, **how_to_answer)
    spec, names = recognizer.input_spec, recognizer.model.class_names
    video_spec = recognizer.video_spec if videos else spec
    video_spec.need_detector()
    how = recognizer.how(annotate is not None, frame_stride, fps)
    rate = film_rate(videos[0], frame_stride, fps) if annotate and annotate.lower().endswith(".mp4") else 25.0
    settings: dict[str, Any] = {
        "fer_lightning": __version__,
        "model": os.fspath(path),
        "sha256": digest_of(path),
        "input": [without_secret(given) for given in input],
        "folder": os.getcwd(),
        "input_spec": spec.to_dict()
        | ({"faces": faces} if recognizer.or_whole else {})
        | {"faces_in_videos": video_spec.faces if videos else None},
        "detection_size": detection_size,
        "class_prior": class_prior,
        "effective_prior": dict(zip(names, recognizer.model.effective_prior, strict=False)) or None,
        "target_risk": target_risk,
        "tta_flip": tta_flip,
        "videos": {"frame_stride": frame_stride, "fps": fps, "smooth": smooth},
    }
    if engine:
        films = (frame_stride, fps, smooth)
        work = Work(os.getcwd(), os.fspath(path), settings["sha256"], how_to_answer, films, parts_folder, settings)
        counts = predict_on_ray(work, sources, workers, device, overwrite)
        if counts.frames:
            ending = [*_uncertain(recognizer, counts, target_risk), *_prior(recognizer, class_prior)]
            say("\n".join([counts.close(), *ending]))
        return
    if part:
        settings |= part.settings(sources)
        sources = part.taken(sources)
    lengths = {source: expected(source, how) for source in sources if source.kind != "image"}
    told = sys.stderr if output == "-" else sys.stdout
    if workers is None:  # finding faces is the work; without it, the network is
        workers = max(available_cpus(keep=0 if spec.finds or video_spec.finds else 1), 1)
    onward, left = "", sources
    writer: RowWriter | None = None
    extras: list[_Extra] = [Answers(names, detection_size, images=few)] if output is None and (few or videos) else []
    with _disk_full_explained(lambda: onward), contextlib.ExitStack() as opened:
        if not few:
            rows = os.fspath(_folder(opened, runs_dir) / "rows.csv") if output is None else output
            writer = RowWriter(rows, names, settings, [source.name for source in sources], overwrite)
            again = "the same command, without --overwrite," if overwrite else "the same command"
            again += "" if output is not None else f" with --output {printable(rows)}"
            onward = f"{again} goes on after the rows that are there." if writer.resumable else ""
        counts = Counts("" if few or output == "-" else f" Written to {printable(rows)}")
        extras += [counts]
        extras += [opened.enter_context(Annotations(annotate, names, rate, overwrite))] if annotate else []
        extras += [Timeline(timeline, names)] if timeline else []
        extras += [_explanations(explain, recognizer, overwrite)] if explain else []
        if writer:
            opened.enter_context(writer)
        for folder in folders_of(annotate, explain).values():
            mark_folder(folder)
        if writer and writer.appends:
            say(f"Appended to {printable(rows)}, behind the rows of other input", told)
        left = [source for source in sources if not (writer and writer.has(source.name))]
        if len(left) < len(sources):
            say(f"{len(sources) - len(left):,} of {len(sources):,} are in {printable(rows)} already", told)
        total = sum(lengths.get(source, 1) for source in left)
        found = look(left, how, workers, guarded=True)
        answers = chain.from_iterable(recognizer.answer([one]) for one in found) if few else recognizer.answer(found)
        answered = map(Tracks(smooth).follow, answers)
        frames = tqdm(answered, total=total, desc="Predicting", unit=" images", delay=1, leave=False, disable=few)
        stopped = _work(recognizer, frames, writer, extras)
        said = [text for extra in extras if (text := extra.close())]
    said += _uncertain(recognizer, counts, target_risk)
    said += _prior(recognizer, class_prior) if not few or class_prior != "training" else []
    if len(said) > 1 or len(sources) > 1 or not few:
        say("\n".join(said), told)
    if stopped:
        say(f"Interrupted. {onward[:1].upper() + onward[1:] or 'These are the answers so far.'}", sys.stderr)
        raise SystemExit(130)  # after another signal than Ctrl-C, the front door makes it that one's


def _uncertain(recognizer: ExpressionRecognizer, counts: Counts, target_risk: float | None) -> list[str]:
    """What is said of answers that were not given, if a risk was."""
    if target_risk is None:
        return []
    threshold = recognizer.threshold
    reach = f"below a confidence of {threshold:.3f}" if threshold <= 1 else "as no confidence reaches it"
    uncertain = f"{counts.labels['uncertain']} are uncertain, {reach}"
    return [f"{uncertain} (target risk {target_risk}, on validation images)"]


def _prior(recognizer: ExpressionRecognizer, given: object) -> list[str]:
    """What is said of how frequent the answers suppose the classes to be, the most frequent three first."""
    known = zip(recognizer.model.class_names, recognizer.model.effective_prior, strict=False)
    most = [f"{printable(name)} {share:.0%}" for name, share in sorted(known, key=lambda item: -item[1])]
    name = given if isinstance(given, str) else "as given"
    return [f"Class prior: {name}" + (f" ({', '.join(most[:3])}{', ...' * (len(most) > 3)})" if most else "")]


def _folder(opened: contextlib.ExitStack, runs_dir: str) -> Path:
    """A new folder for the rows; it goes again if nothing was written into it."""
    folder = own_folder(runs_dir)

    def remove_empty() -> None:
        with contextlib.suppress(OSError):
            folder.rmdir()

    opened.callback(remove_empty)
    return folder


@contextlib.contextmanager
def _disk_full_explained(onward: Callable[[], str]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise FERError(
            f"The disk is full. Free some space: {onward() or 'the same command starts again.'} "
            "Or choose another place to write to."
        ) from None


def _explanations(folder: str, recognizer: ExpressionRecognizer, overwrite: bool) -> "Explanations":
    if isinstance(recognizer.model, BundleModel):
        raise FERError("--explain needs the layers of the network: expected a checkpoint or a .safetensors file.")
    from fer_lightning.inference.explain import Explanations  # which imports torch

    return Explanations(folder, recognizer.model, overwrite)


_Extra = Union[Answers, Counts, Annotations, Timeline, "Explanations"]


def _work(
    recognizer: ExpressionRecognizer, frames: Iterable[Frame], writer: RowWriter | None, extras: list[_Extra]
) -> bool:
    """Name and write what is in frames that have their probabilities; whether a signal ended it."""
    try:
        for frame in frames:
            seen = recognizer.recognition(frame)
            if writer:
                writer.write(seen.to_dicts())
            for extra in extras:
                extra.add(frame, seen.faces)
    except KeyboardInterrupt:
        return True
    if writer:
        writer.end()
    return False
