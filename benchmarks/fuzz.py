"""Fuzzing of the readers and of the command line, with the properties of the tests, for a given time.

    python benchmarks/fuzz.py [--minutes 10] [--seed 0] [--only "load CSV"]

The time is divided among the readers (load CSV, load table, CIFAR-10, state dict) and the parameters of the command
line. Inputs are drawn by hypothesis, as in tests/project/test_properties.py but more of them, or are valid files with
bytes changed, cut and repeated. Prints the numbers of accepted and refused inputs, and each input that was read wrongly
or raised an undocumented error; exit code 1 if there is one.
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

ROUND = 500  # inputs drawn by hypothesis, then as many mutations, and so on
MOST_CHANGES = 6


def mutation(raw: bytes, rng: random.Random) -> bytes:
    """Mutate `raw`: bits or bytes are flipped, replaced, cut, repeated or moved, most of them near the beginning."""
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
    """Fuzzing of one property: counts of inputs, and failures."""

    def __init__(self, subject: Property, first: int):
        self.subject, self.rng = subject, random.Random(first)
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []

    def run(self, seconds: float) -> None:
        """Draw and mutate inputs until the time is over."""
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
        except Exception as error:  # undocumented errors are what fuzzing searches for
            self.counts["wrong"] += 1
            found = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            if len(self.wrong) < 20 and all(not known.startswith(found[:60]) for known in self.wrong):
                self.wrong.append(f"{found}  <- {given!r:.300}")
            return
        self.counts[f"{how}, {'accepted' if accepted else 'refused'}"] += 1


def main() -> None:
    """Parse the arguments, fuzz, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="for all together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=[each.name for each in PROPERTIES])
    options = parser.parse_args()
    subjects = [each for each in PROPERTIES if options.only in (None, each.name)]
    fuzzes = [Fuzz(subject, options.seed) for subject in subjects]
    for fuzz in fuzzes:
        fuzz.run(60 * options.minutes / len(fuzzes))
        counts = ", ".join(f"{count:,} {what}" for what, count in sorted(fuzz.counts.items()))
        print(f"{fuzz.subject.name}: {fuzz.counts.total():,} inputs: {counts}", flush=True)
        for each in fuzz.wrong:
            print("  WRONG:", each, flush=True)
    print(f"seed {options.seed}, {options.minutes:g} minutes: {sum(fuzz.counts.total() for fuzz in fuzzes):,} inputs")
    sys.exit(any(fuzz.wrong for fuzz in fuzzes))


if __name__ == "__main__":
    main()
