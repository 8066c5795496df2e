"""What is about to be used, in a few lines for the terminal."""

from __future__ import annotations

from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.decoded_cache import size_of
from fer_lightning.data.legend import PARTS


def describe(data: FERDataModule) -> str:
    """Data set, split, images of each class in each part, size of the cache, and what was noticed on the way."""
    split, legend = data.split, data.legend
    source = ", ".join(str(one.path) for one in data.legends)
    if data.embedded:
        source = "the embedded drawn faces (no --data.root was given)"
    people = len(set(split.identities))
    lines = [f"Data   {source}: {len(split.legend):,} images, {data.num_classes} classes, {people:,} identities"]
    seed = f", seed {data.split_seed}" if data.split_rule != "sequential" else ""
    lines.append(f"Split  {data.split_rule}{seed}, in {data.tree}")
    shown = [part for part in range(len(PARTS)) if split.counts[part].sum()]
    width = max(map(len, data.class_names))
    lines.append("       " + " " * width + "".join(f"{PARTS[part]:>12}" for part in shown))
    for label, name in enumerate(data.class_names):
        lines.append(f"       {name:<{width}}" + "".join(f"{split.counts[part][label]:>12,}" for part in shown))
    lines.append(f"       {'all':<{width}}" + "".join(f"{split.counts[part].sum():>12,}" for part in shown))
    if data.cache:
        size = size_of(legend, data.preprocessing) / 1e6
        lines.append(f"Cache  {size:,.0f} MB of decoded images in {data.tree_dir} (--data.cache false: without)")
    lines += [f"Note   {warning}" for warning in (*legend.warnings, *split.warnings)]
    if data.validates_on_testing:
        lines.append("Note   Validation uses the testing part: the figures of this run were chosen on test images.")
    return "\n".join(lines)
