"""Fuzzing of the readers and the command line: the properties of the tests, with new random inputs, for a given time.

    python benchmarks/fuzz.py [--minutes 10] [--seed 0] [--only "load CSV"]

Each of the readers (load CSV, CIFAR-10, state dict) and the command line's parameters gets its share of the time:
inputs drawn by hypothesis, as in tests/project/test_properties.py but more of them and others, and valid files with
bytes changed, cut and repeated. Prints how many inputs were accepted and refused, and every one that was answered by
anything but the documented errors, or read wrongly; exit code 1 if there is one.
"""

import argparse
import random
import sys
import time
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, given, seed, settings

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.properties import PROPERTIES, Property  # type: ignore[import-not-found]  # of the tests, not checked

ROUND = 500  # inputs drawn by hypothesis in turn with as many mutations
MOST_CHANGES = 6


def mutation(raw: bytes, rng: random.Random) -> bytes:
    """`raw` with some bytes flipped, replaced, cut, repeated or moved, most of them near its beginning."""
    changed = bytearray(raw)
    for _ in range(rng.randint(1, MOST_CHANGES)):
        at = int(len(changed) * rng.random() ** rng.choice([1, 4, 16]))
        length = int(2 ** rng.uniform(0, 12))
        kind = rng.choice(["flip", "byte", "noise", "cut", "repeat", "move", "end"])
        if kind == "flip" and changed:
            changed[min(at, len(changed) - 1)] ^= 1 << rng.randrange(8)
        elif kind == "byte" and changed:
            changed[min(at, len(changed) - 1)] = rng.choice([0, 10, 13, 34, 44, 45, 48, 255, rng.randrange(256)])
        elif kind == "noise":
            changed[at : at + length] = rng.randbytes(min(length, 64))
        elif kind == "cut":
            del changed[at : at + length]
        elif kind == "repeat":
            changed[at:at] = changed[at : at + length]
        elif kind == "move":
            piece = changed[at : at + length]
            del changed[at : at + length]
            to = rng.randint(0, len(changed))
            changed[to:to] = piece
        elif kind == "end" and rng.random() < 0.2:
            del changed[at:]
    return bytes(changed)


class Fuzz:
    """One property, what it has been given, and what went wrong."""

    def __init__(self, subject: Property, first: int):
        self.subject, self.rng = subject, random.Random(first)
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []

    def run(self, seconds: float) -> None:
        """Draw and mutate until the time is over."""
        deadline = time.monotonic() + seconds
        seeds = self.subject.seeds()
        while time.monotonic() < deadline:
            self._drawn(deadline)
            for _ in range(ROUND if seeds else 0):
                self._try("mutated", mutation(self.rng.choice(seeds), self.rng))
                if time.monotonic() > deadline:
                    break

    def _drawn(self, deadline: float) -> None:
        @seed(self.rng.getrandbits(64))
        @settings(max_examples=ROUND, database=None, deadline=None, suppress_health_check=list(HealthCheck))
        @given(self.subject.inputs)
        def draw(given: object) -> None:
            if time.monotonic() < deadline:
                self._try("drawn", given)

        draw()

    def _try(self, how: str, given: object) -> None:
        try:
            accepted = self.subject.holds(given)
        except Exception as error:  # whatever is not documented is what is looked for
            self.counts["wrong"] += 1
            found = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            if len(self.wrong) < 20 and all(not known.startswith(found[:60]) for known in self.wrong):
                self.wrong.append(f"{found}  <- {given!r:.300}")
            return
        self.counts[f"{how}, {'accepted' if accepted else 'refused'}"] += 1


def main() -> None:
    """Parses the arguments, fuzzes, and prints the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="for all together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=[each.name for each in PROPERTIES])
    asked = parser.parse_args()
    subjects = [each for each in PROPERTIES if asked.only in (None, each.name)]
    fuzzes = [Fuzz(subject, asked.seed) for subject in subjects]
    for fuzz in fuzzes:
        fuzz.run(60 * asked.minutes / len(fuzzes))
        counts = ", ".join(f"{count:,} {what}" for what, count in sorted(fuzz.counts.items()))
        print(f"{fuzz.subject.name}: {fuzz.counts.total():,} inputs: {counts}", flush=True)
        for each in fuzz.wrong:
            print("  WRONG:", each, flush=True)
    print(f"seed {asked.seed}, {asked.minutes:g} minutes: {sum(fuzz.counts.total() for fuzz in fuzzes):,} inputs")
    sys.exit(any(fuzz.wrong for fuzz in fuzzes))


if __name__ == "__main__":
    main()
