"""The evaluation of one pretrained ResNet: evaluates it and logs the results."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nnmodels.classifiers import network
from nnmodels.execution import quantised, rearranged
from nnmodels.images import ImageClassifier
from nnmodels.resnet import folded, multiply_adds
from pipelines import names
from pipelines.common.streams import announce
from pipelines.data.datasets import load_images
from pipelines.data.images.batches import Images, logits, loss_and_accuracy, on_device
from pipelines.data.images.dataset import ImageDataset
from pipelines.data.protocol import CIFAR10
from pipelines.experiments.base import Context, published_figure
from pipelines.experiments.data import log_data
from pipelines.experiments.images import log_classes
from pipelines.experiments.resnet.rows import RESNETS, EvaluationSettings
from pipelines.experiments.resnet.weights import Handed, Weights, received
from pipelines.tracking.models import log_model
from pipelines.tracking.run import Run
from pipelines.training.machine import peak_memory
from pipelines.training.metrics import calibration_error, top_accuracy

TOP = 5
AGREEMENT = 0.05  # percentage points by which a lower precision may differ from fp32 to be used for the timing
# Percentage points by which the measured accuracy may differ from the published one, on the published test images and
# on others. With a wrong stem or normalisation it differs by more.
AS_PUBLISHED, NEARLY_AS_PUBLISHED = 0.3, 3.0
FAR_BELOW = 10.0  # points below the published accuracy of the row, for weights from no known source
AGREES, DIFFERS, CHANCE, NOT_COMPARED = "agrees", "differs", "near chance", "not compared"
TRIED_ON = 1000  # test images, the first ones, on which precisions are timed before one is used on all
EXAMPLES = 4096  # training images, the first ones, by which 8-bit quantisation is calibrated


@dataclass(frozen=True, kw_only=True)
class EvaluationContext(Context):
    """Surroundings of an evaluation, with the weights of each row, which the launch has found."""

    weights: Mapping[str, Handed]


def run_row(run: Run, settings: EvaluationSettings, context: EvaluationContext) -> None:
    """Evaluate one model on the whole test part, and log the results to `run`.

    Args:
        run: the active run.
        settings: settings of the row.
        context: surroundings of the run, with the weights.
    """
    context.reports.phase("loading data")
    dataset = load_images(settings.dataset, context.data_dir)
    weights = received(context.weights[settings.row])
    model = classifier(settings.row, weights, len(dataset.classes))
    _log_model_and_data(run, dataset, model, weights)
    test = on_device(settings.device, dataset.test_images, dataset.test_labels)
    examples = torch.tensor(dataset.train_images[:EXAMPLES])
    context.reports.phase("evaluating")
    output = _evaluate(run, model, test, examples, settings)
    accuracy = _log_metrics(run, dataset, output)
    _log_check(run, *checked(accuracy, weights, dataset, settings.row))
    run.log_metrics({names.PEAK_MEMORY: peak_memory()})
    context.reports.phase("exporting")
    log_model(run, model.cpu().eval(), np.array(dataset.test_images[:2]))


def classifier(row: str, weights: Weights, classes: int) -> ImageClassifier:
    """Build the network with the given weights and their normalisation, in evaluation mode."""
    built = network(row, weights.stem, weights.shortcut, classes)
    built.load_state_dict(weights.state)
    return ImageClassifier(built, weights.mean, weights.deviation).eval()


def fast(model: ImageClassifier, precision: str, device: str, examples: Tensor) -> ImageClassifier:
    """Copy a model for fast inference on `device`, with the batch norms folded into the convolutions.

    Args:
        model: on the CPU.
        precision: "fp32"; "bf16", to be called with autocast; "int8", on a CPU.
        device: device of the copy.
        examples: input images, by which int8 is calibrated.
    """
    if precision == "int8":
        network = quantised(model.network, model.normalised(examples))
    else:
        network = folded(model.network)
        if precision == "fp32" and device == "cpu":
            network = rearranged(network)
        # Without gradients it is the faster order in every precision.
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in torch's stub
    copy = ImageClassifier(network, (0,) * 3, (1,) * 3)
    copy.scale, copy.shift = model.scale, model.shift
    return copy.eval().to(device)


def _log_model_and_data(run: Run, dataset: ImageDataset, model: ImageClassifier, weights: Weights) -> None:
    images = len(dataset.test_labels)
    log_data(run, dataset, {"evaluation": images})
    parameters = sum(parameter.numel() for parameter in model.parameters())
    run.log_metrics({names.WEIGHT_COUNT: parameters, names.MULTIPLY_ADDS: multiply_adds(model.network)})
    claim = f", whose publisher gives {weights.published:g} % for them on CIFAR-10" if weights.published else ""
    read = [f"Read as {weights.dialect}."]
    if weights.verified is False:
        read.append("No digest that was known before says that they are the published ones.")
    note = (
        f"**{run.tags[names.ROW]}**, {parameters:,} parameters, with the weights of {weights.origin}{claim}. "
        + " ".join((*read, *(f"{note}." for note in weights.notes)))
        + "\n\n"
        f"Stem {weights.stem}, shortcut {weights.shortcut}, pixels normalised by {weights.mean} and "
        f"{weights.deviation}; sha256 {weights.sha256}. Evaluated on all {images:,} test images."
    )
    run.set_tags({names.DESCRIPTION: note})
    if weights.verified is not None:
        run.set_tags({names.WEIGHTS_VERIFIED: str(weights.verified).lower()})
    if weights.verified is False:
        run.set_tags({names.VERIFIED: "false"})


def checked(accuracy: float, weights: Weights, dataset: ImageDataset, row: str) -> tuple[str, str]:
    """Compare a measured accuracy with the published one, to detect weights that were read wrongly.

    Args:
        accuracy: on the test part, in percent.
        weights: the evaluated weights.
        dataset: the data set on which they were evaluated.
        row: key of rows.RESNETS.

    Returns:
        AGREES, DIFFERS, CHANCE or NOT_COMPARED, and a sentence that explains it.
    """
    suspicion = "perhaps another stem=, normalisation= or weights_key= is right for these weights"
    if weights.published is not None and dataset.name == CIFAR10:
        allowed = AS_PUBLISHED if dataset.verified else NEARLY_AS_PUBLISHED
        off = accuracy - weights.published
        figures = f"test accuracy {accuracy:.2f} %, published {weights.published:.2f} %"
        if abs(off) <= allowed + 1e-9:
            return AGREES, f"{figures}: they agree within {allowed:g} points"
        return DIFFERS, f"{figures}: {off:+.2f} points, more than {allowed:g}; {suspicion}"
    chance = 100 / len(dataset.classes)
    if accuracy < 2 * chance:
        return CHANCE, f"test accuracy {accuracy:.2f} %, by chance it would be {chance:.0f} %; {suspicion}"
    usual = published_figure(RESNETS[row], names.TEST_ACCURACY)
    if dataset.name == CIFAR10 and usual is not None and accuracy < usual - FAR_BELOW:
        return DIFFERS, f"test accuracy {accuracy:.2f} %, where {usual:.2f} % is published of a {row}; {suspicion}"
    return NOT_COMPARED, f"test accuracy {accuracy:.2f} %; none is published for these weights on these images"


def _log_check(run: Run, outcome: str, sentence: str) -> None:
    described = f"{run.tags[names.DESCRIPTION]}\n\n{sentence[0].upper()}{sentence[1:]}."
    run.set_tags({names.ACCURACY_CHECK: outcome, names.DESCRIPTION: described})
    if outcome in (DIFFERS, CHANCE):
        announce(f"warning: {run.tags[names.ROW]}: {sentence}")


def _evaluate(
    run: Run, model: ImageClassifier, test: Images, examples: Tensor, settings: EvaluationSettings
) -> tuple[Tensor, Tensor]:
    """Evaluate the model, and log the time of the fastest precision whose accuracy agrees with that of fp32.

    A precision that is slower than fp32 on some of the images is not tried on all.

    Returns:
        Logits (N, classes) in fp32 and labels (N,), on the CPU.
    """
    batch_size = settings.batch_size
    some = Images(test.pixels[:TRIED_ON], test.labels[:TRIED_ON])

    def tried(precision: str) -> tuple[ImageClassifier, float]:
        quick = fast(model, precision, settings.device, examples)
        logits(quick, Images(test.pixels[:batch_size], test.labels[:batch_size]), batch_size, precision)
        return quick, _timed(quick, some, batch_size, precision)[1]

    exact, expected = tried("fp32")
    output, seconds = _timed(exact, test, batch_size, "fp32")
    accuracy, used = loss_and_accuracy(output, test.labels)[1], "fp32"
    for precision in settings.precision.split(","):
        if precision == "fp32":
            break
        quick, rounded_expected = tried(precision)
        if rounded_expected >= expected:
            continue
        rounded, rounded_seconds = _timed(quick, test, batch_size, precision)
        rounded_accuracy = loss_and_accuracy(rounded, test.labels)[1]
        run.log_metrics({names.TEST_ACCURACY_IN[precision]: rounded_accuracy})
        if abs(rounded_accuracy - accuracy) < AGREEMENT + 1e-9 and rounded_seconds < seconds:
            seconds, used = rounded_seconds, precision
            break
    run.set_tags({names.PRECISION: used})
    run.log_metrics({names.EVALUATION_TIME: seconds, names.IMAGES_PER_S: len(test.labels) / seconds})
    return output.cpu(), test.labels.cpu()


def _timed(model: ImageClassifier, test: Images, batch_size: int, precision: str) -> tuple[Tensor, float]:
    began = time.perf_counter()
    output = logits(model, test, batch_size, precision)
    output.sum().item()  # waits for a GPU
    return output, time.perf_counter() - began


def _log_metrics(run: Run, dataset: ImageDataset, evaluated: tuple[Tensor, Tensor]) -> float:
    """Log the metrics of logits and labels; returns the accuracy, in percent."""
    output, labels = evaluated
    loss, accuracy = loss_and_accuracy(output, labels)
    probabilities = output.double().softmax(1).numpy()
    truth = labels.numpy()
    run.log_metrics(
        {
            names.TEST_LOSS: loss,
            names.TEST_ACCURACY: accuracy,
            names.TEST_TOP5_ACCURACY: top_accuracy(probabilities, truth, TOP),
            names.CALIBRATION_ERROR: calibration_error(probabilities, truth),
        }
    )
    log_classes(run, dataset, probabilities)
    return accuracy
