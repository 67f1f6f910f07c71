"""The entry pretrain: classifiers trained here. Its sections of the report are resnet's too, its cost ablation's."""

from analysis.entries import images
from analysis.entries.entry import Entry
from analysis.view import View
from pipelines import names
from pipelines.data.protocol import CIFAR10
from pipelines.experiments.resnet.rows import RESNETS

VIEW = View(
    metrics=(
        names.VAL_ACCURACY,
        names.TEST_ACCURACY,
        *names.TEST_ACCURACY_OF_VIEWS.values(),
        names.TEST_LOSS,
        names.TRAINING_TIME,
        names.IMAGES_PER_S,
    ),
    main=names.TEST_ACCURACY,
    lowest=False,
    headline="Classifiers trained here, {data}: test accuracy %",
    rows=RESNETS,
    row_params=("params.stem", "params.shortcut"),
    published=(names.TEST_ACCURACY, names.TEST_ACCURACY_OF_VIEWS[6]),
    dataset=CIFAR10,
    data=images.DATA,
    published_note="published: of other trainings of the same networks, see the entry resnet.",
    notes={
        names.VAL_ACCURACY: "val_accuracy: after the last epoch, on training images that were held out.",
        names.TEST_ACCURACY: "test_accuracy, test_loss: measured once, at the end, on one view of each image.",
        **dict.fromkeys(
            names.TEST_ACCURACY_OF_VIEWS.values(),
            "test_accuracy_two_views, test_accuracy_six_views: the same, averaged over an image and its mirror image, "
            "and over these and both moved by a pixel to either side.",
        ),
        names.TRAINING_TIME: images.TRAINING_TIME,
    },
    beside=True,
)

ENTRY = Entry("pretrain", VIEW)
