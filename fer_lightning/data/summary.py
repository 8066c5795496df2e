"""What is about to be used, in a few lines for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fer_lightning.data.decoded_cache import size_of
from fer_lightning.data.legend import SUBSETS
from fer_lightning.data.sources.synthetic import SyntheticFaces

if TYPE_CHECKING:
    from fer_lightning.data.datamodule import FERDataModule


def describe(data: FERDataModule, tree: bool = True) -> str:
    """Data set, split, images of each class in each subset, size of the cache, and what was noticed on the way.

    Args:
        data: What is described; images are not touched.
        tree: Whether to name the place of the image folders, which only `fit` builds.
    """
    split, legend = data.split, data.legend
    people = len(set(split.identities))
    lines = [f"Data   {_source(data)}: {len(split.legend):,} images, {data.num_classes} classes, {people:,} identities"]
    rule, seed = data.subsets.split_options["rule"], data.subsets.split_options["seed"]
    said = rule if rule == "sequential" else f"{rule}, seed {seed}"
    lines.append(f"Split  {said}" + (f", in {data.subsets.tree_path}" if tree else ""))
    shown = [subset for subset in range(len(SUBSETS)) if split.counts[subset].sum()]
    width = max(map(len, data.class_names))
    lines.append("       " + " " * width + "".join(f"{SUBSETS[subset]:>12}" for subset in shown))
    for label, name in enumerate(data.class_names):
        lines.append(f"       {name:<{width}}" + "".join(f"{split.counts[subset][label]:>12,}" for subset in shown))
    lines.append(f"       {'all':<{width}}" + "".join(f"{split.counts[subset].sum():>12,}" for subset in shown))
    if data.subsets.cache:
        size = size_of(legend, data.input_spec) / 1e6
        lines.append(f"Cache  {size:,.0f} MB of decoded images in {data.subsets.folder} (--data.cache false: without)")
    lines += [f"Note   {warning}" for warning in (*legend.warnings, *split.warnings)]
    if data.validates_on_testing:
        lines.append("Note   Validation uses the testing subset: the figures of this run were chosen on test images.")
    return "\n".join(lines)


def _source(data: FERDataModule) -> str:
    if isinstance(data.subsets.sources[0], SyntheticFaces):
        return "the embedded synthetic faces (no --data.root was given)"
    return ", ".join(str(legend.path) for legend in data.subsets.legends)
