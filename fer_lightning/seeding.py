"""Random numbers that are a function of the training step alone."""

import hashlib
import random

import numpy as np
import torch


def seed_step(purpose: str, seed: int, step: int, rank: int, device: torch.device) -> None:
    """Seed all generators for a step, so that it draws the same whatever was drawn before it.

    An augmentation of the user's own may draw with Python's or numpy's. Each purpose, seed, step and rank (number of
    the device) draws others.
    """
    digest = hashlib.sha256(f"{purpose}{seed} {step} {rank}".encode()).digest()
    number = int.from_bytes(digest[:8]) - 2**63
    torch.default_generator.manual_seed(number)  # torch.manual_seed takes 3 ms where there is no GPU
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(number)
    random.seed(number)
    np.random.seed(number % 2**32)  # noqa: NPY002 (the one that a function of others draws with)
