"""Claims of an entry judged by frames of runs."""

import pandas as pd

from analysis.claims.judge import Judgement, judge
from analysis.entries.index import STATEMENTS
from analysis.tables.select import choose
from support.frames import NO_CURVES


def judged(entry: str, found: pd.DataFrame, curves: pd.DataFrame = NO_CURVES, dataset: str = "") -> list[Judgement]:
    """The judgements on `found` on a dataset, by default the report's own."""
    statements = STATEMENTS[entry]
    return judge(statements, choose(found, statements.view, dataset or statements.view.dataset), curves)


def judged_once(entry: str, found: pd.DataFrame, curves: pd.DataFrame = NO_CURVES, dataset: str = "") -> Judgement:
    """The judgement on `found` where there is but one."""
    (judgement,) = judged(entry, found, curves, dataset)
    return judgement


def verdicts(judgement: Judgement) -> dict[str, str]:
    """Claim to verdict by our runs."""
    return {verdict.claim.name: verdict.ours for verdict in (*judgement.reported, *judgement.found)}
