"""What a study has still to train."""

from dataclasses import dataclass

import optuna
from optuna.trial import TrialState

from pipelines.studies.finalists import finalists_of, untrained, winner_of
from pipelines.studies.plan import BEYOND, LR_FACTORS, Plan
from pipelines.studies.storage import begun, best_of, retrained
from pipelines.tracking.server import is_set_up


@dataclass(frozen=True)
class Left:
    """What a study has still to train.

    Attributes:
        trials: number of trials that have not ended.
        finalists: number of finalists; as long as there are trials to come, the most that there can be, and then the
            least.
        winner: id of the run under which the winner was trained and tested, "" if that is to come.
    """

    trials: int
    finalists: int
    winner: str

    @property
    def is_nothing(self) -> bool:
        """Whether the study is finished."""
        return not self.trials and not self.finalists and bool(self.winner)


def left(plan: Plan, study: optuna.Study | None) -> Left:
    """What is left of a study, of which None stands for one that has not begun."""
    if study is None:
        return Left(plan.n_trials, _most_finalists(plan), "")
    trials = max(0, plan.n_trials - begun(study)) + len(study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))
    if trials:
        return Left(trials, _most_finalists(plan), "")
    if best_of(study) is None:
        return Left(0, 0, "")
    finalists = finalists_of(plan, study)
    if new := untrained(study, finalists):
        return Left(0, len(new), "")
    winner = winner_of(plan, study, finalists)
    # A tracking database that is not there would be made.
    return Left(0, 0, retrained(study, plan.settings(winner.chosen, 0, 1.0)) if is_set_up() else "")


def _most_finalists(plan: Plan) -> int:
    if "lr" not in plan.dimensions or not plan.finalists:
        return plan.finalists + plan.has_row
    return plan.finalists * len(LR_FACTORS) + plan.has_row + 2 * BEYOND
