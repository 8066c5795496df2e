"""What a bundle's model.json says."""

from collections.abc import Sequence
from typing import Any

from fer_lightning.checkpoints.info import CheckpointInfo
from fer_lightning.data.face_alignment import AROUND, CERTAIN, PLACES, SEEN, USUAL
from fer_lightning.data.face_crop import LONGEST, SHORTEST, TIMES_AT_MOST
from fer_lightning.data.face_detectors import SAME, SURE, YUNET
from fer_lightning.reports.model_card import model_card, must_not_be_used_for
from fer_lightning.version import __version__

FORMAT = 1
"""Of `model.json`; what recognize.py expects."""


def about_bundle(info: CheckpointInfo, prior: Sequence[float], name: str) -> dict[str, Any]:
    """What `model.json` says, in plain values.

    Args:
        info: What is known of the model.
        prior: The class frequencies that its answers are for; empty if not known.
        name: What it is called.
    """
    card = model_card(name, info)
    places = {"places": PLACES, "usual": USUAL, "around": AROUND, "seen": SEEN, "certain": CERTAIN}
    return {
        "format": FORMAT,
        "name": name,
        "version": __version__,
        "classes": list(info.class_names),
        "input": info.input_spec.to_dict() | {"detector": YUNET},
        "temperature": info.temperature,
        "class_prior": dict(zip(info.class_names, prior, strict=False)),
        "license": (info.training and info.training.license) or "not stated",
        "must_not_be_used_for": must_not_be_used_for(card),
        "card": card,
        "detection": {
            "longest": LONGEST,
            "shortest": SHORTEST,
            "at_most": TIMES_AT_MOST,
            "sure": SURE,
            "same": SAME,
        },
        **({"alignment": places} if info.input_spec.align else {}),
    }
