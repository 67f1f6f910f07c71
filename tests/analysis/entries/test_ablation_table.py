"""The table of CNNs and MLPs, beside the report's Table 2."""

from support.frames import ablation_table, classifier, grid

from analysis import formats
from pipelines.experiments.ablation.rows import ABLATION


def test_ablation_figures_stand_beside_the_published_ones():
    table = ablation_table(
        classifier("cnn-lr-high", **{"metrics.training_time_s": 90.0}),
        classifier("cnn", 0, **{"metrics.test_accuracy": 58.0}),
        classifier("cnn", 1, **{"metrics.test_accuracy": 57.8}),
        classifier("mlp-5"),
    )
    header, *lines = grid(formats.to_markdown([table]))
    assert header == [
        *("row", "lr", "n", "train_loss", "published", "train_accuracy", "published", "test_loss", "published"),
        *("test_accuracy", "95 %", "published", "test_accuracy.difference", "training_time_s"),
    ]
    # The report's Table 2; our 57.9 is 0.68 below its 58.58. The interval reaches 12.706 x 0.1414 / sqrt 2 = 1.27.
    assert lines == [
        [
            *("cnn", "0.001", "2", "1.080 ± 0.000", "1.08", "61.69 ± 0.00", "61.69", "1.160 ± 0.000", "1.16"),
            *("57.90 ± 0.14", "56.63 … 59.17", "58.58", "-0.68", "–"),
        ],
        [
            *("mlp-5", "0.001", "1", "1.220", "1.22", "56.32", "56.32", "1.390", "1.39"),
            *("50.67", "–", "50.67", "+0.00", "–"),
        ],
        [
            *("cnn-lr-high", "0.01", "1", "0.7700", "0.77", "72.50", "72.5", "1.190", "1.19"),
            *("61.30", "–", "61.3", "+0.00", "90.00"),
        ],
    ]
    metrics = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
    assert list(table.lines) == [
        *("entry", "row", "dataset", "training", "lr", "n"),
        *(f"{metric}.{part}" for metric in metrics for part in ("mean", "std", "n", "low", "high", "published")),
        *(f"training_time_s.{part}" for part in ("mean", "std", "n", "low", "high")),
        "test_accuracy.difference",
    ]


def test_a_row_says_its_architecture_by_its_name():
    table = ablation_table(*(classifier(row) for row in ABLATION))
    assert table.shown == ("row", "lr")
    assert table.lines["row"].tolist() == list(ABLATION)


def test_the_notes_are_those_of_the_entry():
    text = formats.to_markdown([ablation_table(classifier("cnn"), classifier("mlp-2"))])
    assert text.count("after the last epoch, in eval mode") == 1
    assert "CNN report, Table 2" in text
    for other in ("recurrent", "GPU", "manual", "smape", "Pooled", "false"):
        assert other not in text
    on_sample = classifier("cnn", **{"tags.dataset": "sample"})
    assert "published" not in formats.to_markdown([ablation_table(on_sample)])
    best = ablation_table(classifier("cnn", **{"metrics.best/test_accuracy": 60.0}), metrics=("best/test_accuracy",))
    assert "better than an honest choice" in best.notes[0]


def test_gradients_by_hand_have_a_line_of_their_own():
    table = ablation_table(classifier("mlp-3"), classifier("mlp-3", training="manual"))
    assert table.lines[["training", "n"]].to_numpy().tolist() == [["autograd", 1], ["manual", 1]]
    assert "training" in table.shown
    assert any(note.startswith("manual: ") for note in table.notes)
