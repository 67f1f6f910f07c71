"""Throughput of ResNets in evaluation and in training, by several methods.

    python benchmarks/resnet_throughput.py [--model resnet18] [--stem pool] [--batch 128] [--seconds 10]
        [--weights FILE --normalisation NAME --data-dir data]

Evaluation: torch's eager fp32 as a user would write it, and the methods of `resnet` in fp32, bf16 and 8-bit integers,
each with the fraction of predictions that agree with eager fp32. With `--weights`, which takes all that `resnet` takes
but the registry, the images are those of the CIFAR-10 test set, and the accuracy is shown; else images and weights are
random.

Training: forward, backward and update, with torch's own network and with the methods of `pretrain`, also with the
smaller images of its first epochs. The ceiling is the throughput of a plain matrix product of the same precision on all
cores, which a convolution that multiplies everything, including the zeros of the padding, cannot exceed. There is none
for 8-bit integers, for which torch has no plain matrix product.
"""

import argparse
import os
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from nnmodels.execution import rearranged
from nnmodels.images import ImageClassifier
from nnmodels.resnet import multiply_adds, resnet
from pipelines.data.images import cifar10
from pipelines.data.images.batches import logits, on_device
from pipelines.data.protocol import CIFAR10
from pipelines.experiments.resnet.find import find
from pipelines.experiments.resnet.row import EXAMPLES, classifier, fast
from pipelines.experiments.resnet.sources import NORMALISATIONS
from pipelines.training.machine import has_int8

NORMALISED = NORMALISATIONS["half"].mean, NORMALISATIONS["half"].deviation
SIZES = (32, 24, 16)  # pixels, of `pretrain`'s images
MATRIX_SIZE = 2048  # rows and columns of the matrices that give the ceiling


def rate(step: Callable[[], int], seconds: float) -> float:
    """Sum of the counts that `step` returns, per second, after one call to warm up."""
    step()
    began, count = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < seconds:
        count += step()
    return count / passed


def autocast(precision: str) -> torch.autocast:
    """A context in which the network computes in `precision`."""
    return torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")


def ceiling(precision: str, seconds: float) -> float:
    """Multiply-adds per second of a product of square matrices."""
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = torch.randn(2, MATRIX_SIZE, MATRIX_SIZE, dtype=kind)

    def step() -> int:
        torch.mm(a, b)
        return MATRIX_SIZE**3

    return rate(step, seconds)


def evaluation(model: nn.Module, pixels: Tensor, precision: str, seconds: float) -> float:
    """Images per second in evaluation."""
    with torch.inference_mode(), autocast(precision):

        def step() -> int:
            model(pixels)
            return len(pixels)

        return rate(step, seconds)


def training(model: nn.Module, pixels: Tensor, precision: str, seconds: float) -> float:
    """Images per second in training: forward, backward and update."""
    labels = torch.randint(0, 10, (len(pixels),))
    optimizer = torch.optim.SGD(model.parameters(), 0.01, 0.9, nesterov=True, fused=True)
    model.train()

    def step() -> int:
        with autocast(precision):
            loss = nn.functional.cross_entropy(model(pixels), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return len(pixels)

    return rate(step, seconds)


def compare_evaluations(a: argparse.Namespace, limits: dict[str, float]) -> None:
    """Print the table of the methods of evaluation."""
    if a.weights:
        weights = find(a.model, a.weights, a.data_dir, a.stem, a.normalisation, lambda *name: None, CIFAR10)
        model = classifier(a.model, weights, 10)
        dataset = cifar10.load(a.data_dir)
        examples = torch.tensor(dataset.train_images[:EXAMPLES])
        test = on_device("cpu", dataset.test_images, dataset.test_labels)
    else:
        model = ImageClassifier(resnet(a.model, a.stem), *NORMALISED).eval()
        examples, pixels = torch.randint(0, 256, (2, EXAMPLES, 3, 32, 32), dtype=torch.uint8)
        test = on_device("cpu", pixels.numpy(), np.zeros(EXAMPLES))
    cost = multiply_adds(model.network)
    batch = test.pixels[: a.batch]
    expected = logits(model, test, a.batch).argmax(1)
    ways = [("eager fp32", "fp32", model, batch.contiguous())]
    for precision in ("fp32", "bf16", *(["int8"] if has_int8("cpu") else [])):
        ways.append((f"as `resnet` does, {precision}", precision, fast(model, precision, "cpu", examples), batch))
    subject = f"{a.model}, stem {a.stem}, batch {a.batch}, {os.cpu_count()} cores, evaluation"
    print(f"| {subject} | images/s | ratio | of the ceiling | same predictions | accuracy |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    base = None
    for name, precision, way, images in ways:
        speed = evaluation(way, images, precision, a.seconds)
        base = base or speed
        share = f"{speed * cost / limits[precision]:.0%}" if precision in limits else "–"
        predicted = logits(way, test, a.batch, precision).argmax(1)
        accuracy = f"{100 * (predicted == test.labels).double().mean():.2f}" if a.weights else "–"
        same = (predicted == expected).double().mean()
        print(f"| {name} | {speed:,.0f} | {speed / base:.1f} | {share} | {same:.2%} | {accuracy} |", flush=True)


def as_it_is(network: nn.Module) -> nn.Module:
    """The network itself."""
    return network


def channels_last(network: nn.Module) -> nn.Module:
    """The network with its weights in channels-last order."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in torch's stub


def compare_trainings(a: argparse.Namespace, limits: dict[str, float]) -> None:
    """Print the table of the methods of training."""
    print(f"\n| {a.model}, stem {a.stem}, batch {a.batch}, training | images/s | ratio | of the ceiling |")
    print("| --- | ---: | ---: | ---: |")
    ways = [
        ("as torch has it, fp32", "fp32", 32, as_it_is),
        ("channels last, bf16", "bf16", 32, channels_last),
        *((f"as `pretrain` does in fp32, {size} pixels", "fp32", size, rearranged) for size in SIZES),
    ]
    base = None
    for name, precision, size, change in ways:
        network = resnet(a.model, a.stem)
        cost = 3 * multiply_adds(network, (3, size, size))  # backward takes twice the products of forward
        pixels = torch.randint(0, 256, (a.batch, 3, size, size), dtype=torch.uint8)
        network = change(network)
        if change is channels_last:
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        speed = training(ImageClassifier(network, *NORMALISED), pixels, precision, a.seconds)
        base = base or speed
        share = f"{speed * cost / limits[precision]:.0%}"
        print(f"| {name} | {speed:,.0f} | {speed / base:.1f} | {share} |", flush=True)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--stem", default="pool")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--weights", default="")
    parser.add_argument("--normalisation", default="huyvnphan", help="pretrain's, by default")
    parser.add_argument("--data-dir", default="data")
    a = parser.parse_args()
    torch.manual_seed(0)
    limits = {precision: ceiling(precision, a.seconds) for precision in ("fp32", "bf16")}
    compare_evaluations(a, limits)
    compare_trainings(a, limits)
    text = ", ".join(f"{limit / 1e9:.0f} G multiply-adds/s in {precision}" for precision, limit in limits.items())
    print(f"\nCeiling: {text}.")


if __name__ == "__main__":
    main()
