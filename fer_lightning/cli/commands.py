"""The verbs: a table. A new verb is its file and one entry here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Option(NamedTuple):
    """An option that people use.

    Attributes:
        name: With its dashes; a positional argument has none.
        text: What it does.
        default: What it is without it; None if nothing, or if the text says so.
    """

    name: str
    text: str
    default: Any = None


@dataclass(frozen=True)
class Command:
    """A verb.

    Attributes:
        name: What the user types.
        summary: One line for the overview.
        entry: `module:function`. The function's types and docstring make the parser of its options.
        about: What it does, in a few sentences.
        examples: Words behind the program's name.
        options: Those that people use; all are in `--help_all`.
        trains: Whether the entry is called with the verb and its words, to parse them with Lightning's own options.
        several: The option, or the positional argument, that takes several values.
        rest: The argument that takes all words that are no options of this verb.
        renamed: Options of an earlier version: their names now; empty if they are gone.
        gone: What to do without those that are gone.
    """

    name: str
    summary: str
    entry: str
    about: str
    examples: tuple[str, ...]
    options: tuple[Option, ...]
    trains: bool = False
    several: str = ""
    rest: str = ""
    renamed: Mapping[str, str] = field(default_factory=dict)
    gone: str = ""


_LIGHTNING = "fer_lightning.cli.trainer:run"
_NAME = Option("--name", "name of the run; its folder is runs/NAME", "default")
_RUNS = Option("--runs_dir", "folder that holds the runs", "runs")
_RUN_OF = Option("--name", "name of the run that best and last are of", "default")
_ROOT = Option("--data.root", "folder of the data set, with legend.csv and images/; without it, synthetic faces")
_DATA = (
    Option("--data.split", "how images are divided: sequential, stratified, grouped, predefined", "grouped"),
    Option("--data.faces", "take images whole, or detect the largest face in each", "whole"),
    Option("--data.image_size", "height and width of the network's input in pixels", 100),
    Option("--data.color", "input in gray or rgb", "gray"),
)
_MEASURED = (
    Option("--ckpt_path", "best, last, pretrained, or a file; needed"),
    _NAME,
    Option("--data.root", "other data than those of the training"),
    Option("--data.split", "another rule than that of the training"),
    Option("--model.class_prior", "answer for other class frequencies: uniform, a power, or one for each"),
    Option("--data.eval_batch_size", "images in a batch", 256),
    Option("--trainer.accelerator", "cpu, gpu, auto, ...", "auto"),
    _RUNS,
)

COMMANDS = (
    Command(
        "fit",
        "train a network; without options, on the embedded data set of synthetic faces",
        _LIGHTNING,
        "Checks every row and every image of a data set, divides it so that nobody is in training and in testing, and "
        "trains until validation accuracy no longer rises. The run's folder holds config.yaml, metrics.csv, curves for "
        "TensorBoard, checkpoints/best.ckpt and last.ckpt; an earlier run of the same name is kept under another.",
        (
            "fit --data.root DATA --name mine",
            "fit --config ferplus_fast --data.root FERPLUS",
            "fit --name mine --ckpt_path last --trainer.max_epochs 30",
            "fit --ckpt_path pretrained --data.image_size 48 --data.root DATA",
        ),
        (
            Option(
                "--config",
                "a recipe (ferplus, ferplus_fast, facial_expressions, seed_notebook, ddp, debug) or a file; later ones "
                "win over earlier ones, options over all",
            ),
            Option("--ckpt_path", "last goes on with a run; exported weights or pretrained start a new one"),
            _NAME,
            _ROOT,
            *_DATA,
            Option("--data.val_fraction", "how much of the training subset is for validation", 0.1),
            Option("--data.soft_labels", "train towards the annotators' votes", False),
            Option("--data.batch_size", "images in a training batch, on each device", 64),
            Option("--data.augmentation.flip", "mirror training images at random", False),
            Option("--data.augmentation.mixup", "blend training images in pairs, such as 0.2", 0.0),
            Option("--data.sampling.strength", "0 to 1: draw rare classes more often, at 1 all equally", 0.0),
            Option("--data.license", "of images and labels, for the model card"),
            Option("--model.network", "any torch.nn.Module, as a class path", "ExpressionCNN"),
            Option("--model.optimizer.lr", "learning rate", 0.001),
            Option("--model.loss.logit_adjustment", "0 to 1, for rare classes", 0.0),
            Option("--model.lr_scheduler", "a class path, such as WarmupCosine; without it, a constant rate"),
            Option("--model.fine_tuning.weights", "start from pretrained or from a file"),
            Option("--model.fine_tuning.freeze", "what is not trained, such as '[stem, stages.0]'"),
            Option("--model.distillation.teacher", "pretrained or a file, against noisy labels"),
            Option("--model.ema_decay", "keep an average of the weights, such as 0.998", 0.0),
            Option("--trainer.max_epochs", "epochs at most", 20),
            Option("--trainer.accelerator", "cpu, gpu, auto, ...", "auto"),
            Option("--trainer.precision", "32-true, bf16-mixed, ...; without it, the fastest here"),
            Option("--early_stopping.patience", "epochs without improvement before it stops", 3),
            Option("--early_stopping.monitor", "what must improve: val_acc, val_macro_f1, val_loss, ...", "val_acc"),
            Option("--checkpoint_best.monitor", "what decides which epoch is best.ckpt", "val_acc"),
            Option("--seed_everything", "draws another training", 0),
            _RUNS,
        ),
        trains=True,
    ),
    Command(
        "validate",
        "measure a checkpoint on the validation subset",
        _LIGHTNING,
        "As test, on the images that chose the epoch and the temperature: for choosing between settings.",
        ("validate --name mine --ckpt_path best",),
        _MEASURED,
        trains=True,
    ),
    Command(
        "test",
        "measure a checkpoint on the testing subset, with a report",
        _LIGHTNING,
        "Prints every measure with a 95 % interval and writes report.html, metrics.json and predictions.csv into the "
        "run's folder. The checkpoint brings data, split, input and network along; options change them.",
        (
            "test --name mine --ckpt_path best",
            "test --name tested --ckpt_path pretrained --data.root DATA",
        ),
        _MEASURED,
        trains=True,
    ),
    Command(
        "predict",
        "name the expressions in images and video",
        "fer_lightning.inference.predict:predict",
        "Writes one row a face, as they come; an image without a face, or one that cannot be read, is a row too. With "
        "the same settings, a second run goes on where a CSV or JSON Lines file ends.",
        (
            "predict --ckpt_path pretrained --input photo.jpg --output -",
            "predict --name mine --ckpt_path best --input PHOTOS FILM.mp4",
            "predict --ckpt_path pretrained --input FILM.mp4 --annotate named.mp4",
        ),
        (
            Option("--ckpt_path", "best, last, pretrained, a checkpoint or an exported file; needed"),
            Option("--input", "images, videos, folders, patterns, a camera's number, - for paths from stdin; needed"),
            Option("--output", "rows, as .csv, .jsonl or .parquet; - for CSV on the screen", "predictions.csv"),
            Option("--faces", "detect faces, take images whole, or auto: as in training", "auto"),
            Option("--class_prior", "class frequencies here: uniform, a power, or one for each", "training"),
            Option("--target_risk", "answer 'uncertain' rather than be wrong more often than this"),
            Option("--frame_stride", "of a video, take every n-th frame", 1),
            Option("--fps", "of a video, about so many frames a second instead"),
            Option("--smooth", "seconds over which a face in a video is averaged", 0.0),
            Option("--annotate", "annotated images: a folder, or an .mp4 file for one video"),
            Option("--timeline", "a plot (.png) of the expressions over a video's time"),
            Option("--explain", "a folder for what the network looked at in each face (Grad-CAM)"),
            Option("--batch_size", "faces that the network takes at once", 64),
            Option("--workers", "processes that decode images and find faces; by default one a core"),
            Option("--device", "auto, cpu, cuda, ...", "auto"),
            Option("--network", "class path of a network that is not ours, if you trust it"),
            _RUN_OF,
            _RUNS,
        ),
        several="--input",
        renamed={"every": "frame_stride"},
    ),
    Command(
        "estimate_prior",
        "estimate how frequent the classes are in images without labels",
        "fer_lightning.inference.estimate_prior:estimate_prior",
        "Reads the rows that predict wrote and says what to give to its --class_prior (Saerens et al. 2002).",
        ("estimate_prior --rows rows.csv",),
        (
            Option("--rows", "the .csv or .jsonl file, made without --class_prior; needed"),
            Option("--ckpt_path", "what made it; by default what the settings beside the file say"),
        ),
    ),
    Command(
        "ferplus",
        "make the FER+ data set from the two files that it is published as",
        "fer_lightning.data.sources.ferplus:ferplus",
        "Writes legend.csv, with a column for the split and the annotators' votes, and images/, for --data.root.",
        ("ferplus --fer2013 fer2013.csv --votes fer2013new.csv --output FERPLUS",),
        (
            Option("--fer2013", "the file with the images (FER2013, from Kaggle); needed"),
            Option("--votes", "the file with the votes (github.com/microsoft/FERPlus); needed"),
            Option("--output", "the folder to make; needed"),
            Option("--testing", "the testing subset: PrivateTest or PublicTest", "PrivateTest"),
        ),
    ),
    Command(
        "audit",
        "examine a data set before training: what is in it, what is wrong, what to do",
        "fer_lightning.audit.audit:audit",
        "Checks rows, files, duplicates, people and shortcuts, and writes report.html with the same findings as JSON "
        "and CSV. The exit status is 1 if it found what --fail_on names.",
        (
            "audit --data.root DATA --fail_on never",
            "audit --data.root DATA --ckpt_path runs/mine/checkpoints/best.ckpt",
        ),
        (
            _ROOT,
            Option("--data.split", "the rule that fit would use", "grouped"),
            Option("--output", "folder for the report", "audit"),
            Option("--predictions", "predictions.csv files, as a list, to find labels that are probably wrong"),
            Option("--ckpt_path", "a checkpoint trained on this data set, for the same"),
            Option("--fail_on", "serious, warning or never", "serious"),
        ),
    ),
    Command(
        "crossval",
        "train and test on every fold of a data set; mean and spread of every measure",
        "fer_lightning.cli.crossval:crossval",
        "Every image is tested once, by a network that has not seen its person. Finished folds are not repeated, so "
        "that an interrupted cross-validation goes on where it was. All options of fit may be given as well.",
        (
            "crossval --name folds --folds 5 --data.root DATA",
            "crossval --config facial_expressions --subset validation --data.root DATA",
        ),
        (
            Option("--name", "name of the cross-validation", "crossval"),
            Option("--folds", "number of folds, 2 or more", 5),
            Option("--seeds", "each trains and tests every fold anew", 1),
            Option("--subset", "validation: for choosing between settings, no testing image is seen", "testing"),
            _RUNS,
        ),
        rest="options",
        renamed={"part": "subset"},
    ),
    Command(
        "export",
        "write a checkpoint's network to a small file of its own",
        "fer_lightning.export.export:export",
        "Writes .safetensors (weights for fer_lightning), .onnx or .pt2 (from a face to probabilities, for programs "
        "without it), compares its answers with the original's before it is kept, and lays a model card beside it.",
        (
            "export --name mine --ckpt_path best --output mine.onnx",
            "export --name mine --ckpt_path best --output small.onnx --quantize int8",
        ),
        (
            Option("--ckpt_path", "best, last, pretrained, or a checkpoint; needed"),
            Option("--output", "the file; its ending says the format; needed"),
            Option("--quantize", "int8: an ONNX network in 8-bit integers; says what that costs in accuracy"),
            Option("--data.root", "for int8, other images than those of the training"),
            Option("--data.split", "for int8, another rule than that of the training"),
            Option("--faces", "how its user gets to faces: training, whole, detect", "training"),
            Option("--half", "safetensors in half precision", True),
            _RUN_OF,
            _RUNS,
        ),
        renamed={"format": ""},
        gone="gone: the ending of --output says the format",
    ),
    Command(
        "compare",
        "compare runs on the same test images, with intervals and McNemar's test",
        "fer_lightning.reports.compare:compare",
        "Compares each run with the first one: every measure, the difference with its 95 % interval over people.",
        ("compare mine color", "compare mine color --output figures.json"),
        (
            Option("runs", "two or more runs that were tested: names, or folders; needed"),
            _RUNS,
            Option("--output", "JSON file for the figures"),
        ),
        several="runs",
    ),
)

VERBS = {command.name: command for command in COMMANDS}

OLD_VERBS = {"shares": "estimate_prior"}
"""What verbs of an earlier version are called now."""
