"""The tests, in the rooms of what they test."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small tensors, and tests beside each other; read when torch is imported
