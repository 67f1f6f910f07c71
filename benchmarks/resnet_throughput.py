"""ResNets on this machine: images a second evaluated and trained, in turn, in one run.

    python benchmarks/resnet_throughput.py [--model resnet18] [--stem pool] [--batch 128] [--seconds 10]
        [--weights FILE]

Evaluation: torch's eager fp32 as a user would write it, beside what `resnet` does (batch norms folded, channels last,
bf16 where the hardware has it), with the largest difference of a logit and the share of equal predictions, on random
weights unless `--weights` gives a state dict. Training: forward, backward and update, fp32 and bf16, with the share of
what a plain matrix product of the same precision reaches on all cores: a convolution cannot be faster.
"""

import argparse
import os
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from nnmodels.images import ImageClassifier
from nnmodels.resnet import multiply_adds, resnet
from pipelines.machine import available_precision
from pipelines.resnet_row import fast

HALF = (0.5, 0.5, 0.5)
SIDE = 2048  # of the matrices that give the ceiling


def rate(step: Callable[[], int], seconds: float) -> float:
    """What `step` counts, a second, after one call to warm up."""
    step()
    began, count = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < seconds:
        count += step()
    return count / passed


def autocast(precision: str) -> torch.autocast:
    """A context in which the network computes in `precision`."""
    return torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")


def ceiling(precision: str, seconds: float) -> float:
    """Multiply-adds a second of a square matrix product."""
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = torch.randn(2, SIDE, SIDE, dtype=kind)

    def step() -> int:
        torch.mm(a, b)
        return SIDE**3

    return rate(step, seconds)


def evaluation(model: nn.Module, pixels: Tensor, precision: str, seconds: float) -> tuple[float, Tensor]:
    """Images a second, and the logits."""
    with torch.inference_mode(), autocast(precision):

        def step() -> int:
            model(pixels)
            return len(pixels)

        return rate(step, seconds), model(pixels).float()


def training(model: nn.Module, pixels: Tensor, precision: str, seconds: float) -> float:
    """Images a second, forward, backward and update."""
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


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--stem", default="pool")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--weights", default="")
    a = parser.parse_args()
    torch.manual_seed(0)
    network = resnet(a.model, a.stem)
    if a.weights:
        from safetensors.torch import load_file

        network.load_state_dict(load_file(a.weights))
    model = ImageClassifier(network, HALF, HALF).eval()
    pixels = torch.randint(0, 256, (a.batch, 3, 32, 32), dtype=torch.uint8)
    last = pixels.contiguous(memory_format=torch.channels_last)
    precision = available_precision("auto", "cpu")
    cost = multiply_adds(network)
    ways = {"fp32": ceiling("fp32", a.seconds)}
    ways.setdefault(precision, ceiling(precision, a.seconds))

    plain, expected = evaluation(model, pixels, "fp32", a.seconds)
    quick, logits = evaluation(fast(model), last, precision, a.seconds)
    same = (logits.argmax(1) == expected.argmax(1)).float().mean().item()
    print(f"| {a.model}, stem {a.stem}, batch {a.batch}, {os.cpu_count()} cores | images/s | ratio | of the ceiling |")
    print("| --- | ---: | ---: | ---: |")
    print(f"| evaluation, eager fp32 | {plain:,.0f} | 1.0 | {plain * cost / ways['fp32']:.0%} |")
    share = quick * cost / ways[precision]
    print(f"| evaluation, folded, channels last, {precision} | {quick:,.0f} | {quick / plain:.1f} | {share:.0%} |")
    base = None
    for kind, limit in ways.items():
        trained = ImageClassifier(resnet(a.model, a.stem).to(memory_format=torch.channels_last), HALF, HALF)
        images = training(trained, last, kind, a.seconds)
        base = base or images
        share = 3 * images * cost / limit  # backward costs twice the products of forward
        print(f"| training, channels last, {kind} | {images:,.0f} | {images / base:.1f} | {share:.0%} |")
    difference = (logits - expected).abs().max().item()
    print(f"\nLargest difference of a logit {difference:.3g}, equal predictions {same:.1%}.")
    print(
        "Ceiling: " + ", ".join(f"{limit / 1e9:.0f} G multiply-adds/s in {kind}" for kind, limit in ways.items()) + "."
    )


if __name__ == "__main__":
    main()
