"""Which runs claims are judged by, and what is said beside the verdicts."""

import pandas as pd
from support.frames import classifier, frame, table_1, table_2
from support.verdicts import judged, judged_once, verdicts

from analysis.claims.text import to_markdown
from analysis.entries.index import STATEMENTS
from analysis.tables.select import choose
from pipelines.experiments.recurrent.rows import resolve


def test_a_row_is_judged_by_the_runs_nearest_to_the_catalogue():
    settings = resolve("gru-2", "pjm", "dense", seed=0, fraction=1).params()
    own = {"tags.row": "gru-2"} | {f"params.{name}": str(value) for name, value in settings.items()}
    found = frame(
        own | {"tags.seed": "0"},
        own | {"tags.seed": "1"},
        *(own | {"tags.seed": str(seed), "params.epochs": "1"} for seed in range(5)),
        {"tags.row": "rnn-2", "params.epochs": "99"},
    )
    chosen = choose(found, STATEMENTS["recurrent"].view, "pjm")
    assert chosen["run_id"].tolist() == ["0", "1", "7"]
    judgement = judged_once("recurrent", found)
    assert judgement.departures == (f"rnn-2 epochs 99 (catalogue: {settings['epochs']})",)


def test_each_training_protocol_is_judged_by_itself():
    dense, window = table_1(), table_1().assign(**{"tags.training": "window"})
    window.loc[window["tags.row"] == "rnn-3", "metrics.smape_report"] = 0.301
    found = pd.concat([dense, window[window["tags.row"] != "linear-ar-hourly"]], ignore_index=True)
    found["run_id"] = [str(index) for index in range(len(found))]
    judgements = judged("recurrent", found)
    assert [(one.training, verdicts(one)["all-below-0.3"]) for one in judgements] == [
        ("dense", "supported"),
        ("window", "not supported"),
    ]
    view = STATEMENTS["recurrent"].view
    assert set(choose(found, view, "pjm", "window")["tags.training"]) == {"window", "none"}
    assert choose(found, view, "pjm", "sparse").empty


def test_on_other_data_the_report_is_not_judged():
    found = table_2().assign(**{"tags.dataset": "sample"})
    text = to_markdown("ablation", STATEMENTS["ablation"], judged("ablation", found, dataset="sample"))
    assert "The course report is about cifar10. These are the same words about sample" in text
    assert "as published" not in text.partition("\n- ")[0]
    own = to_markdown("ablation", STATEMENTS["ablation"], [judged_once("ablation", table_2())])
    assert "| claim | source | as published | by ours | evidence |" in own
    assert "The report is about" not in own


def test_claims_without_runs_on_the_reports_data_name_the_data_there_are(run_cli):
    result = run_cli("claims", "--entry", "recurrent", "--dataset", "taylor")
    assert result.exit_code == 1
    assert "no finished runs of recurrent on taylor; there are on pjm, sample (--dataset pjm)" in result.stderr


def test_gradients_by_hand_are_judged_by_themselves():
    changes = {"params.device": "another", "metrics.test_accuracy": 99.0}
    by_hand = [classifier("mlp-3", seed, training="manual", **changes) for seed in range(2)]
    found = pd.concat([table_2(), frame(*by_hand)], ignore_index=True)
    found["run_id"] = [str(index) for index in range(len(found))]
    autograd, manual = judged("ablation", found)
    assert (autograd.training, manual.training) == ("autograd", "manual")
    assert verdicts(autograd)["convolution-beats-mlp"] == "supported"
    assert set(verdicts(manual).values()) == {"not tested"}
    text = to_markdown("ablation", STATEMENTS["ablation"], [autograd, manual])
    assert text.count("## ablation, cifar10") == 1
    assert "No claim is tested by the rows trained manual alone" in text
    assert "## ablation, cifar10, manual" in to_markdown("ablation", STATEMENTS["ablation"], [manual])


def test_claims_say_on_which_data_they_were_judged():
    found = table_2()
    assert judged_once("ablation", found).unverified == ()
    found.loc[found["tags.row"] == "mlp-2", "tags.verified"] = "false"
    judgement = judged_once("ablation", found)
    assert (judgement.unverified, judgement.rows) == (("mlp-2",), 12)
    assert "not the published ones" in to_markdown("ablation", STATEMENTS["ablation"], [judgement])
