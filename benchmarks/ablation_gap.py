"""Why the ablation's figures are not the published ones: a few rows trained under what the report leaves unsaid.

Momentum and normalisation are inferred, and "10 epochs" could be counted otherwise. Each line is one training on
CIFAR-10, its losses and accuracies on both sets after each of the last epochs, with the distance to Table 2: the mean
over the four figures of |ours - published|, losses in units of 0.01 and accuracies of points.

    python benchmarks/ablation_gap.py [row=cnn,cnn-lr-low,mlp-2] [epochs=12] [show=9] [seed=0] [name=value ...]

`name=value[,value...]` are settings of `rows.resolve_classifier`, e.g. normalisation=half,channel momentum=0.9.
CIFAR-10 is looked for in ./data.
"""

import itertools
import sys

from pipelines.data.images import cifar10
from pipelines.data.images.batches import evaluate
from pipelines.data.protocol import CIFAR10
from pipelines.experiments.ablation.classifier import TrainedClassifier, classifier
from pipelines.experiments.ablation.rows import ABLATION, AUTOGRAD, resolve_classifier
from pipelines.training.loop import Callback, Progress

DEFAULTS = {"row": "cnn,cnn-lr-low,mlp-2", "epochs": "12", "show": "9", "seed": "0"}


class Show(Callback):
    """Prints a line after each of the last epochs."""

    def __init__(self, trained: TrainedClassifier, first: int, label: str, published: tuple[float, ...]):
        self._trained, self._first, self._label, self._published = trained, first, label, published

    def on_epoch(self, progress: Progress) -> None:
        """Measure and print."""
        if progress.epoch < self._first:
            return
        measured = [evaluate(self._trained.training.model, part)
                    for part in (self._trained.train, self._trained.test)]  # fmt: skip
        ours = [figure for pair in measured for figure in pair]
        units = (0.01, 1, 0.01, 1)
        gaps = [(own - theirs) / unit for own, theirs, unit in zip(ours, self._published, units, strict=True)]
        figures = " | ".join(f"{figure:.3f}" if unit < 1 else f"{figure:.2f}"
                             for figure, unit in zip(ours, units, strict=True))  # fmt: skip
        print(f"| {self._label} | {progress.epoch} | {figures} | {sum(map(abs, gaps)) / 4:.2f} |", flush=True)


def main() -> None:
    """Run the combinations asked for."""
    given = {
        name: text.split(",") for name, text in (DEFAULTS | dict(word.split("=") for word in sys.argv[1:])).items()
    }
    rows, (epochs,), (show,) = given.pop("row"), given.pop("epochs"), given.pop("show")
    dataset = cifar10.load(CIFAR10)
    print("| row | setting | epoch | train loss | train accuracy | test loss | test accuracy | distance |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for row in rows:
        published = tuple(ABLATION[row].published.figures.values())
        print(f"| {row} | published | 10 | " + " | ".join(map(str, published)) + " | 0 |", flush=True)
        for values in itertools.product(*given.values()):
            chosen = dict(zip(given, values, strict=True))
            seed = int(chosen.pop("seed"))
            overrides = {name: _typed(value) for name, value in chosen.items()}
            settings = resolve_classifier(row, CIFAR10, AUTOGRAD, seed, 1.0, epochs=int(epochs), **overrides)
            label = ", ".join([f"seed {seed}", *(f"{name} {value}" for name, value in chosen.items())])
            trained = classifier(settings, dataset)
            with trained.training as training:
                training.fit([Show(trained, int(show), f"{row} | {label}", published)])


def _typed(text: str) -> object:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


if __name__ == "__main__":
    main()
