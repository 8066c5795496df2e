"""Options with odd values, one by one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.hostile.cases import DATA, FIT, PREDICT, Case

NUMBERS = (
    "-1",
    "0",
    "nan",
    "inf",
    "-inf",
    "1e400",
    "²",
    "",
    "1.5",
    "99999999999999999999",
    "null",
    "[1]",
    "true",
    "0x10",
    "\u0663",
)
OF_FIT = (
    *("data.train_fraction", "data.val_fraction", "data.split_seed", "data.folds", "data.fold", "data.image_size"),
    *(
        "data.margin",
        "data.batch_size",
        "data.eval_batch_size",
        "data.num_workers",
        "data.sampling.strength",
        "data.mean",
    ),
    *(
        "data.std",
        "data.augmentation.rotation",
        "data.augmentation.mixup",
        "data.augmentation.blur",
        "data.augmentation.cooldown",
    ),
    *(
        "model.ema_decay",
        "model.class_prior",
        "model.optimizer.lr",
        "model.optimizer.weight_decay",
        "model.loss.label_smoothing",
    ),
    *("model.loss.logit_adjustment", "model.network.hidden", "model.network.dropout", "model.fine_tuning.layer_decay"),
    *("trainer.max_epochs", "trainer.max_steps", "trainer.accumulate_grad_batches", "trainer.limit_train_batches"),
    *(
        "trainer.limit_val_batches",
        "trainer.val_check_interval",
        "trainer.check_val_every_n_epoch",
        "trainer.gradient_clip_val",
    ),
    *("trainer.devices", "trainer.max_time", "trainer.precision", "trainer.accelerator", "trainer.strategy"),
    *(
        "early_stopping.patience",
        "early_stopping.min_delta",
        "checkpoint_best.save_top_k",
        "checkpoint_last.every_n_minutes",
    ),
    *("checkpoint_last.every_n_steps", "seed_everything", "checkpoint_best.monitor", "early_stopping.monitor"),
)
OF_PREDICT = (
    "class_prior",
    "target_risk",
    "frame_stride",
    "fps",
    "smooth",
    "batch_size",
    "workers",
    "device",
    "detector",
    "faces",
)


def cases() -> Iterator[tuple[str, Case]]:
    """Names and cases."""
    for option in OF_FIT:
        for number, value in enumerate(NUMBERS):
            if (option == "trainer.max_epochs" and value in ("-1", "99999999999999999999", "true")) or (
                option,
                value,
            ) == ("data.num_workers", "99999999999999999999"):
                continue  # a training without an end was asked for
            yield f"{option} {number}", Case([*FIT.split(), f"--{option}={value}"])
    for option in OF_PREDICT:
        for number, value in enumerate(NUMBERS):
            yield (
                f"predict {option} {number}",
                Case([*PREDICT.split(), "--input", "../given/photos", f"--{option}={value}"]),
            )
            if option in ("fps", "smooth", "frame_stride"):
                yield (
                    f"film {option} {number}",
                    Case(
                        [*PREDICT.split(), "--input", "../given/film.mp4", f"--{option}={value}", "--timeline", "t.png"]
                    ),
                )
    for option in ("folds", "seeds", "subset", "name", "runs_dir"):
        for number, value in enumerate(NUMBERS):
            if value not in ("true", "1.5", "0x10", "\u0663", "[1]", "null") and not (
                option in ("name", "runs_dir") and value
            ):
                yield (
                    f"crossval {option} {number}",
                    Case(["crossval", *DATA.split(), "--trainer.max_epochs", "1", f"--{option}={value}"], refused=True),
                )
    names = (
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "/tmp/x",
        "a\nb",
        "x" * 300,
        "../../outside",
        "~",
        "a\\b",
        " ",
        "../given/data",
        "\udcff",
    )
    for number, name in enumerate(names):
        where = ["--name", name]
        if name != "~":
            yield f"name {number} of fit", Case([*FIT.replace(" --name new", "").split(), *where], refused=True)
            yield (
                f"name {number} of test",
                Case(["test", *DATA.split(), "--ckpt_path", "../given/good.ckpt", *where], refused=True),
            )
            yield (
                f"name {number} of a configuration",
                Case([*FIT.replace(" --name new", "").split(), "--config", f"name: {name!r}"], refused=True),
            )
            yield f"name {number} of crossval", Case(["crossval", *DATA.split(), "--folds", "2", *where], refused=True)
            yield (
                f"name {number} of predict",
                Case(["predict", "--ckpt_path", "best", "--input", "../given/photos", *where], refused=True),
            )
            yield (
                f"name {number} of export",
                Case(["export", "--ckpt_path", "best", "--output", "x.onnx", *where], refused=True),
            )
    fit = FIT.replace(" --name new", "")
    yield "the data set as a run", Case(f"{fit} --runs_dir ../given --name data", refused=True)
    yield "the images as a run", Case(f"{fit} --runs_dir ../given/data --name images", refused=True)
    yield "a folder of others as a run", Case(f"{fit} --runs_dir .. --name outside", refused=True)
    yield "runs in a file", Case(f"{FIT} --runs_dir ../outside/precious.txt", refused=True)
    yield "best is last", Case(f"{FIT} --checkpoint_best.filename last", refused=True)
    for number, name in enumerate(("", "..", "../x", "/tmp/x", "a/b", "x" * 300, "{nothing}", "{epoch", "last.ckpt")):
        yield f"file of the best {number}", Case([*FIT.split(), f"--checkpoint_best.filename={name}"])
    yield "two machines, of which one is there", Case(f"{FIT} --trainer.num_nodes 2", refused=True)
    yield "one image with batch normalization", Case(f"{FIT} --model.network CompactResNet --data.batch_size 1")
    yield "diverges", Case(f"{FIT} --model.optimizer.lr 1e30", refused=True)
    yield "diverges slowly", Case(f"{FIT} --model.optimizer.lr 1e6 --trainer.max_epochs 3")
    yield "tiny standard deviation", Case(f"{FIT} --data.std [1e-38]", refused=True)
    yield "folds that the data do not carry", Case(f"crossval {DATA} --folds 200", refused=True)
    words = (
        ["fit", "--"],
        ["fit", "-x"],
        ["fit", "--="],
        ["fit", "--data"],
        ["fit", "--data.root"],
        ["fit", "\0"],
        ["\0"],
        ["fit", "--name", "\udcff"],
        ["", ""],
        ["predict", "--input"],
        ["fit", "--help", "--x"],
        ["fit", "--help_all"],
        ["fit", "--print_config"],
    )
    for number, line in enumerate(words):
        yield f"words {number}", Case(line)
    for verb in (
        "fit",
        "test",
        "validate",
        "predict",
        "audit",
        "export",
        "compare",
        "crossval",
        "ferplus",
        "estimate_prior",
    ):
        for number, line in enumerate(
            (
                ["--nope"],
                ["--nope", "5"],
                ["nope"],
                ["--config", "nope"],
                ["--name"],
                ["--output", ""],
                ["--ckpt_path", ""],
                ["--ckpt_path", "."],
            )
        ):
            if verb not in ("fit", "crossval") or number not in (5,):
                yield f"{verb} with {number}", Case([verb, *line])
    assert Path
