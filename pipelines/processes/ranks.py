"""The processes that torchrun started as one training, each with the same command line. Torch-free."""

import os


def ranks() -> int:
    """Number of processes that torchrun started; 1 without it."""
    return int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def rank() -> int:
    """Number of this process among them, from 0."""
    return int(os.environ["RANK"]) if ranks() > 1 else 0
