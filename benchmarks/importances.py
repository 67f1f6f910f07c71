"""How often the importances of a small study name the hyperparameter that decides.

    python benchmarks/importances.py [--studies 60]

Two hyperparameters of random trials, a continuous learning rate and a depth of 2 to 5, of which one decides and the
other hardly matters. For each number of trials: the fraction of studies in which it has the larger importance, by
Optuna's default (PED-ANOVA) and by fANOVA, where the learning rate decides and where the depth does.
"""

import argparse
import math
import random
import warnings
from collections.abc import Callable, Mapping

import optuna
from optuna.importance import BaseImportanceEvaluator, FanovaImportanceEvaluator, PedAnovaImportanceEvaluator

TRIALS = (4, 5, 6, 8, 10, 15, 20, 30)
METHODS: Mapping[str, Callable[[], BaseImportanceEvaluator]] = {
    "PED-ANOVA": PedAnovaImportanceEvaluator,
    "fANOVA": lambda: FanovaImportanceEvaluator(seed=0),
}
# Weights of the squared distance to the best learning rate, and of the depth.
CASES: Mapping[str, tuple[float, float]] = {"lr": (1.0, 0.1), "depth": (0.02, 1.0)}


def study(decisive: str, trials: int, seed: int) -> optuna.Study:
    """A study of random trials in which `decisive` decides, with a little noise."""
    of_lr, of_depth = CASES[decisive]
    noise = random.Random(seed)

    def objective(trial: optuna.Trial) -> float:
        distance = math.log10(trial.suggest_float("lr", 1e-4, 1e-1, log=True)) + 2.3
        depth = trial.suggest_int("depth", 2, 5)
        return of_lr * distance**2 + of_depth * depth + noise.gauss(0, 0.02)

    made = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    made.optimize(objective, n_trials=trials)
    return made


def right(decisive: str, method: str, trials: int, studies: int) -> float:
    """Fraction of the studies in which `method` gives `decisive` the larger importance."""
    found = 0
    for seed in range(studies):
        made = study(decisive, trials, seed)
        shares = optuna.importance.get_param_importances(made, evaluator=METHODS[method]())
        found += max(shares, key=shares.__getitem__) == decisive
    return found / studies


def main() -> None:
    """Print a line for each number of trials."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=60)
    studies = parser.parse_args().studies
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    columns = [(decisive, method) for decisive in CASES for method in METHODS]
    print("| trials | " + " | ".join(f"{decisive} decides, {method}" for decisive, method in columns) + " |")
    print("| ---: |" + " ---: |" * len(columns))
    for trials in TRIALS:
        figures = [f"{right(decisive, method, trials, studies):.2f}" for decisive, method in columns]
        print(f"| {trials} | " + " | ".join(figures) + " |", flush=True)


if __name__ == "__main__":
    main()
