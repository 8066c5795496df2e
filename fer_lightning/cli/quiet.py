"""What libraries say that does not concern the user."""

import logging
import warnings

_WARNINGS = (
    ".*does not have many workers.*",
    ".*could not find the monitored key in the returned metrics.*",  # a training that ends within its first epoch
    ".*exists and is not empty.*",
    ".*callbacks used to create the checkpoint need to be provided.*",
    ".*your dataloader is not resumable.*",  # the sampler is: see FERDataModule
    ".*number of training batches.*is smaller than the logging interval.*",
    ".*torch.distributed.nn.functional.all_gather is deprecated.*",
    ".*isinstance.treespec, LeafSpec.. is deprecated.*",
)
_ADVERTISEMENTS = ("💡", "TPU available", "HPU available", "GPU available: False", "Using bfloat16")


def keep_quiet() -> None:
    """Keep the terminal for what concerns the user."""
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(_is_no_advertisement)
    for message in _WARNINGS:
        warnings.filterwarnings("ignore", message=message)


def _is_no_advertisement(record: logging.LogRecord) -> bool:
    return not record.getMessage().lstrip().startswith(_ADVERTISEMENTS)
