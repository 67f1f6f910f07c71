"""Which pruner loses fewer winners: curves of trials that ran to their end, replayed in many orders with each.

    python benchmarks/pruning.py --row gru-relative --space lr,head,lags --dataset pjm --fraction 0.03 --draws 24
    python benchmarks/pruning.py --study ablation --values trial_values.csv

Trains trials without pruning, at random points of a space, the first with the row's own settings; or reads the table
that a study's launch has logged, of which those trials count that have a value for every epoch. Then Optuna's own
pruners are given these trials one after the other, in random orders. A pruner loses a winner where it gives up the
trial whose last value is the best of all; its loss is how much worse the best of those is that it let end.
"""

import argparse
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import optuna
import pandas as pd
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.study import StudyDirection
from optuna.trial import TrialState

from pipelines.common import addresses
from pipelines.common.words import short
from pipelines.errors import UserError
from pipelines.experiments.index import STUDIED, search_of
from pipelines.experiments.spaces import Choice
from pipelines.experiments.study import study_of
from pipelines.studies.options import TuneOptions
from pipelines.studies.plan import Plan, plan_of
from pipelines.studies.worker import pruner_of, suggest
from pipelines.tracking.run import Run
from pipelines.tracking.server import connect
from pipelines.training.loop import DivergedError

Curve = Sequence[float]  # value after each epoch

# By the number of epochs of a trial.
PRUNERS: Mapping[str, Callable[[int], BasePruner]] = {
    "none": lambda epochs: NopPruner(),
    "median, from a third of the epochs on (tune)": pruner_of,
    "median, from the first epoch on": lambda epochs: MedianPruner(5),
    "Hyperband, factor 3": lambda epochs: HyperbandPruner(1, epochs, 3),
    "Hyperband, from a third of the epochs on": lambda epochs: HyperbandPruner(epochs // 3 + 1, epochs, 3),
    "successive halving, factor 3": lambda epochs: SuccessiveHalvingPruner(1, 3),
}


@dataclass(frozen=True)
class Outcome:
    """What a pruner did to the trials in one order.

    Attributes:
        lost: whether it gave up the best.
        loss: by how much the best that it let end is worse than that; NaN where it let none end.
        saved: share of the epochs that were not trained.
    """

    lost: bool
    loss: float
    saved: float


def replay(curves: Sequence[Curve], pruner: BasePruner, maximise: bool, name: str = "") -> Outcome:
    """Give trials with these curves to a pruner, one after the other.

    Args:
        curves: equally long, in the order of the trials.
        pruner: of Optuna.
        maximise: whether more is better.
        name: of the study, by which Hyperband deals trials out to its brackets.
    """
    direction = StudyDirection.MAXIMIZE if maximise else StudyDirection.MINIMIZE
    study = optuna.create_study(study_name=name or None, direction=direction, pruner=pruner)
    ended, trained = [], 0
    for curve in curves:
        trial = study.ask()
        state = TrialState.COMPLETE
        for epoch, value in enumerate(curve, 1):
            trained += 1
            trial.report(value, epoch)
            if trial.should_prune():
                state = TrialState.PRUNED
                break
        if state == TrialState.COMPLETE:
            ended.append(curve[-1])
        study.tell(trial, curve[-1] if state == TrialState.COMPLETE else None, state)
    choose = max if maximise else min
    best = choose(curve[-1] for curve in curves)
    loss = abs(best - choose(ended)) if ended else math.nan
    return Outcome(best not in ended, loss, 1 - trained / sum(map(len, curves)))


def compared(curves: Sequence[Curve], maximise: bool, orders: int) -> pd.DataFrame:
    """A line for each of PRUNERS, over random `orders` of the trials, the same for all."""
    lines = []
    for name, make in PRUNERS.items():
        rng = np.random.default_rng(0)
        found = [
            replay(
                [curves[place] for place in rng.permutation(len(curves))], make(len(curves[0])), maximise, str(order)
            )
            for order in range(orders)
        ]
        lines.append(
            {
                "pruner": name,
                "winners lost, %": 100 * np.mean([each.lost for each in found]),
                "mean loss": np.nanmean([each.loss for each in found]),
                "epochs saved, %": 100 * np.mean([each.saved for each in found]),
            }
        )
    return pd.DataFrame(lines)


def whole(values: pd.DataFrame, metric: str) -> list[Curve]:
    """The curves in a table of names.TRIAL_VALUES that have a finite value for every epoch."""
    epochs = values["epoch"].max()
    curves = [line.sort_values("epoch")[metric].tolist() for _, line in values.groupby("trial")]
    return [curve for curve in curves if len(curve) == epochs and np.isfinite(curve).all()]


def trained(plan: Plan, draws: int) -> pd.DataFrame:
    """Train trials without pruning; returns a table as of names.TRIAL_VALUES. One that fails has the epochs before."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(plan.seed))
    study.enqueue_trial({name: value for name, value in plan.usual.items() if name in plan.dimensions})
    lines: list[dict[str, float]] = []
    with TemporaryDirectory() as folder:
        os.environ["MLFLOW_TRACKING_URI"] = addresses.sqlite_uri(Path(folder) / "mlflow.db")
        connect()
        parent = Run.launch("pruning", {})
        for number in range(draws):
            asked = study.ask()
            chosen: dict[str, Choice] = {}
            for name, dimension in plan.dimensions.items():
                chosen[name] = suggest(asked, name, dimension, {**plan.usual, **chosen})

            def report(epoch: int, value: float, number: int = number) -> bool:
                lines.append({"trial": number, "epoch": epoch, plan.search.metric: value})
                return False

            run = parent.child(f"trial-{number}", {})
            try:
                with run.active():
                    study_of(plan.study).train(run, plan.trial_settings(chosen), plan.data_dir, report, ())
            except DivergedError as error:
                print(f"trial {number}: {error}", file=sys.stderr)
            else:
                print(f"trial {number}: {lines[-1]}", file=sys.stderr)
    return pd.DataFrame(lines)


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--values", help="a study's table of the values of its trials; nothing is trained then")
    parser.add_argument("--save", help="file to write such a table to")
    parser.add_argument("--study", choices=STUDIED, default="recurrent")
    parser.add_argument("--row", default="")
    parser.add_argument("--space", default="wide")
    parser.add_argument("--dataset", default="sample")
    parser.add_argument("--fraction", type=float, default=1.0)
    parser.add_argument("--draws", type=int, default=24, help="number of trials")
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--data-dir", default="data")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    search = search_of(options.study)
    try:
        if options.values:
            values = pd.read_csv(options.values)
        else:
            names = ("study", "row", "space", "dataset", "fraction", "data_dir")
            given = {name: getattr(options, name) for name in names}
            values = trained(plan_of(TuneOptions.of(given | {"device": "cpu"})), options.draws)
    except UserError as error:
        sys.exit(f"error: {error}")
    if options.save:
        values.to_csv(options.save, index=False)
    curves = whole(values, search.metric)
    print(f"{len(curves)} trials of {len(curves[0])} epochs, {options.orders} orders\n")
    table = compared(curves, search.maximise, options.orders)
    lines: list[list[object]] = [list(table), ["---", "---:", "---:", "---:"], *table.to_numpy().tolist()]
    for cells in lines:
        print(f"| {' | '.join(map(short, cells))} |")


if __name__ == "__main__":
    main()
