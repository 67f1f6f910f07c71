"""What a short pretraining of a ResNet ends at under other settings, on the validation images: one line an epoch.

    python benchmarks/pretraining_settings.py [row=resnet18] [epochs=6] [seed=0] [side=16] [name=value[,value...] ...]

`name=value` are settings of `rows.resolve_pretraining`, e.g. lr=0.1,0.03 weight_decay=0.0005; each combination is
one training. Images, validation ones too, are scaled to `side` pixels: an epoch of 16 takes a quarter of the time of a
whole one. Test images take no part. CIFAR-10 is looked for in ./data.
"""

import itertools
import sys

from pipelines.data.images import cifar10
from pipelines.data.protocol import CIFAR10
from pipelines.experiments.base import read
from pipelines.experiments.pretrain.rows import PretrainingSettings, resolve_pretraining
from pipelines.experiments.pretrain.trainer import TrainedResNet, pretraining
from pipelines.training.loop import Callback, Progress

DEFAULTS = {"row": "resnet18", "epochs": "6", "seed": "0", "side": "16"}


class Show(Callback):
    """Prints a line after each epoch."""

    def __init__(self, trained: TrainedResNet, label: str):
        self._trained, self._label = trained, label

    def on_epoch(self, progress: Progress) -> None:
        """Measure and print."""
        loss, accuracy = self._trained.loss_and_accuracy(self._trained.validation)
        print(f"| {self._label} | {progress.epoch} | {progress.epoch_loss:.4f} | {loss:.4f} | {accuracy:.2f} |"
              f" {progress.seconds:.0f} |", flush=True)  # fmt: skip


def main() -> None:
    """Run the combinations asked for."""
    given = DEFAULTS | dict(word.split("=") for word in sys.argv[1:])
    row, epochs, seed, side = (given.pop(name) for name in DEFAULTS)
    fixed = {"epochs": int(epochs), "sides": [int(side)]}
    dataset = cifar10.load(CIFAR10)
    print("| setting | epoch | train_loss | val_loss | val_accuracy | training_time_s |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for values in itertools.product(*(text.split(",") for text in given.values())):
        chosen = dict(zip(given, values, strict=True))
        settings = resolve_pretraining(row, CIFAR10, int(seed), 1.0, **fixed)
        settings = read(PretrainingSettings, settings.params() | chosen)
        label = ", ".join([row, *(f"{name} {value}" for name, value in chosen.items())])
        trained = pretraining(settings, dataset)
        with trained.training as training:
            training.fit([Show(trained, label)])


if __name__ == "__main__":
    main()
