"""Names and footnotes that the entries on images share."""

from pipelines.data.protocol import CIFAR10, SAMPLE

DATA = {CIFAR10: "CIFAR-10", SAMPLE: "8×8 digits (sample)"}
TRAINING_TIME = "training_time_s: without evaluation, on the host that ran, with whatever ran beside."
