"""The entry pretrain: ResNets trained here. Its sections of the report are resnet's too, its cost ablation's."""

from analysis.entries import images
from analysis.entries.entry import Entry
from analysis.view import View
from pipelines import names
from pipelines.data.protocol import CIFAR10
from pipelines.experiments.resnet.rows import RESNETS

VIEW = View(
    metrics=(names.VAL_ACCURACY, names.TEST_ACCURACY, names.TEST_LOSS, names.TRAINING_TIME, names.IMAGES_PER_S),
    main=names.TEST_ACCURACY,
    lowest=False,
    headline="ResNets trained here, {data}: test accuracy %",
    rows=RESNETS,
    row_params=("params.stem", "params.shortcut"),
    published=(names.TEST_ACCURACY,),
    dataset=CIFAR10,
    data=images.DATA,
    published_note="published: of other trainings of the same networks, see the entry resnet.",
    notes={
        names.VAL_ACCURACY: "val_accuracy: after the last epoch, on training images that were held out.",
        names.TEST_ACCURACY: "test_accuracy, test_loss: measured once, at the end.",
        names.TRAINING_TIME: images.TRAINING_TIME,
    },
    beside=True,
)

ENTRY = Entry("pretrain", VIEW)
