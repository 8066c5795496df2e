"""Which section of the page about errors explains an error."""

import errno
import traceback

from fer_lightning.cli.commands import UsageError
from fer_lightning.errors import FERError, MissingPackageError
from fer_lightning.storage import StorageError

PAGE = "docs/errors.md"
"""The page, in the project's folder."""

NO_MEMORY = ("OutOfMemoryError", "DefaultCPUAllocator: can't allocate memory", "DefaultCPUAllocator: not enough memory")
"""What torch's errors are called, or say, when a GPU or the machine has no memory left."""

SECTIONS = {
    "audit": "audit",
    "checkpoints": "checkpoints",
    "checkpoints.finding:find_checkpoint": "no-checkpoint",
    "checkpoints.hub": "no-checkpoint",
    "checkpoints.reading:check_same_model": "another-model",
    "checkpoints.reading:check_same_weights": "another-model",
    "checkpoints.transfer": "another-model",
    "cli": "options",
    "cli.any_model:_called": "answers-of-other-models",
    "cli.crossval": "run-folders",
    "cli.data_module": "your-own-classes",
    "cli.fit_options": "values",
    "cli.fit_options:_check_machines": "devices",
    "cli.fit_start": "going-on",
    "cli.node_runs": "several-machines",
    "cli.nodes": "several-machines",
    "cli.run_folder": "run-folders",
    "cli.same_settings": "several-machines",
    "cli.trainer": "values",
    "cli.trainer:FERCommandLine._run_subcommand": "checkpoints",
    "cli.trainer:FERCommandLine.parse_arguments": "no-checkpoint",
    "data": "data-set",
    "data.augmentation": "values",
    "data.batches": "python",
    "data.column_roles": "tables",
    "data.csv_columns": "tables",
    "data.data_info": "values",
    "data.face_detectors": "detector",
    "data.identities": "splits",
    "data.image_checks": "images",
    "data.image_checks:explained": "places-to-write",
    "data.image_files": "images",
    "data.input_spec": "values",
    "data.label_overrides": "lists-of-images",
    "data.label_words": "labels",
    "data.legend:Legend": "labels",
    "data.legend_check": "labels",
    "data.legend_rows": "rows",
    "data.legend_rows:LegendRows._class_names": "labels",
    "data.progress": "going-on",
    "data.shared_memory": "memory",
    "data.sources.table": "tables",
    "data.sources.fetched": "addresses",
    "data.splits": "splits",
    "data.streams": "streams",
    "data.subsets": "splits",
    "data.subsets:Subsets.__post_init__": "values",
    "data.usable": "rows",
    "errors": "values",
    "evaluation": "untested-runs",
    "evaluation.answered": "answers-of-other-models",
    "evaluation.answers": "answers-of-other-models",
    "evaluation.divisions": "values",
    "export": "exports",
    "files": "places-to-write",
    "inference": "what-to-look-at",
    "inference.annotate": "places-to-write",
    "inference.begun_rows": "places-to-write",
    "inference.bundle": "exports",
    "inference.cluster_work": "clusters",
    "inference.estimate_prior": "class-frequencies",
    "inference.explain": "exports",
    "inference.exported_graph": "exports",
    "inference.film_writer": "places-to-write",
    "inference.frames": "memory",
    "inference.given": "python",
    "inference.model": "devices",
    "inference.onnx_graph": "checkpoints",
    "inference.on_engine": "clusters",
    "inference.outputs": "places-to-write",
    "inference.parts_folder": "places-to-write",
    "inference.pictures": "places-to-write",
    "inference.ray_cluster": "clusters",
    "inference.ray_engine": "clusters",
    "inference.recognition": "python",
    "inference.recognizer": "python",
    "inference.rows": "places-to-write",
    "inference.timeline": "places-to-write",
    "locks": "run-folders",
    "model.class_prior": "class-frequencies",
    "model.expression_model": "networks",
    "names": "run-folders",
    "networks": "networks",
    "networks.class_paths": "your-own-classes",
    "program": "run-folders",
    "reports.compare": "untested-runs",
    "serving": "service",
    "storage": "addresses",
    "training": "your-own-classes",
    "training.classifier": "checkpoints",
    "training.distillation": "another-model",
    "training.divergence": "diverged",
    "training.fine_tuning": "networks",
    "training.lr_search": "values",
    "training.resumed_optimizer": "going-on",
    "training.resuming": "going-on",
    "training.schedules": "values",
}
"""The section for what a function (`module:function`), a class, a module or a room raises; the narrowest counts."""


def section_of(error: BaseException) -> str:
    """The section that explains an error; empty if there is none."""
    if is_out_of_memory(error):
        return "memory"
    if isinstance(error, MissingPackageError):
        return "packages"
    if isinstance(error, UsageError):
        return "options"
    if isinstance(error, StorageError):  # perhaps of a process that loads batches
        return "addresses"
    if isinstance(error, OSError):
        return "disk-full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "places-to-write"
    if not isinstance(error, FERError):
        return ""
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        package, _, module = frame.f_globals.get("__name__", "").partition(".")
        if package == "fer_lightning" and (section := _of_function(module, frame.f_code.co_qualname)):
            return section
    return ""


def _of_function(module: str, function: str) -> str:
    """The section for what a function raises that its own caller does not know better."""
    while function:
        if section := SECTIONS.get(f"{module}:{function}", ""):
            return section
        function = function.rpartition(".")[0]
    while module:
        if section := SECTIONS.get(module, ""):
            return section
        module = module.rpartition(".")[0]
    return ""


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether there was not enough memory, of the machine or of a GPU."""
    while error is not None:
        said = f"{type(error).__name__}: {error}"
        if isinstance(error, MemoryError) or any(words in said for words in NO_MEMORY):
            return True
        error = error.__cause__
    return False


def more(error: BaseException) -> str:
    """The last line of a message: where the error is explained; empty if nowhere."""
    section = section_of(error)
    return f"\nMore: {PAGE}#{section}" if section else ""
