"""Pickles that do harm where they are read."""

from pathlib import Path


class Malicious:
    """Unpickling it makes a file."""

    def __init__(self, victim: Path):
        self.victim = victim

    def __reduce__(self):
        return Path.touch, (self.victim,)
