"""The forecast of one series with all that is told of it: the hours before, intervals, a test on its last weeks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipelines import figures
from pipelines.forecasting.backtest import MAPE, SMAPE, Backtest, backtest, verdict
from pipelines.forecasting.champion import Champion, Chosen
from pipelines.forecasting.history import LOAD, SERIES, TIME, History

SHOWN_DAYS = 7  # of history before the forecast, in the plot


@dataclass(frozen=True, eq=False)
class Outlook:
    """The forecast of one series.

    Attributes:
        history: the hours before.
        chosen: forecaster and intervals.
        answer: a line for each hour, see champion.Champion.forecast.
        tested: on the last weeks of the history; None if that is too short.
    """

    history: History
    chosen: Chosen
    answer: pd.DataFrame
    tested: Backtest | None


def outlook(champion: Champion, history: History, hours: int) -> Outlook:
    """Forecast the hours that follow a history, and test that on its last weeks."""
    chosen = champion.chosen(history, hours)
    answer = champion.answer(history, hours, chosen)
    return Outlook(history, chosen, answer, backtest(champion, history, hours))


def forecasts(outlooks: Sequence[Outlook]) -> pd.DataFrame:
    """The forecasts of all series, one below the other; of a single one without its name."""
    whole = pd.concat([each.answer for each in outlooks], ignore_index=True)
    return whole if len(outlooks) > 1 else whole.drop(columns=SERIES)


def tests(outlooks: Sequence[Outlook]) -> pd.DataFrame:
    """The errors of all backtests: ``series``, ``forecaster``, ``lead`` (hours), ``mape`` and ``smape`` (percent)."""
    tested = [(each.history.series, each.tested.errors) for each in outlooks if each.tested]
    parts = [errors.assign(**{SERIES: series}) for series, errors in tested]
    columns = [SERIES, "forecaster", "lead", MAPE, SMAPE]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def before(outlooks: Sequence[Outlook]) -> pd.DataFrame:
    """The last days of each history: ``series``, ``time``, and ``load``, MW."""
    hours = 24 * SHOWN_DAYS
    parts = [
        pd.DataFrame({SERIES: each.series, TIME: each.times[-hours:], LOAD: each.loads[-hours:]})
        for each in (outlook.history for outlook in outlooks)
    ]
    return pd.concat(parts, ignore_index=True)


def figure(outlooks: Sequence[Outlook], row: str) -> Figure:
    """Plot the last days of each history, the forecast of `row` after it, and the intervals."""
    answers = pd.concat([each.answer for each in outlooks], ignore_index=True)
    title = f"next {len(outlooks[0].answer)} hours by {row}, with 80 % and 95 % intervals"
    return figures.ahead(before(outlooks), answers, title)


def lines(outlook: Outlook) -> Iterator[str]:
    """What a reader wants to know first, for the terminal: the first and the last hour, and what the backtest says."""
    answer, tested, levels = outlook.answer, outlook.tested, outlook.chosen.intervals.levels
    yield outlook.history.series or "the series"
    for number in dict.fromkeys([0, len(answer) - 1]):
        hour = answer.iloc[number]
        limits = ", ".join(_limits(level, hour[f"low_{level}"], hour[f"high_{level}"]) for level in levels)
        yield f"  {hour[TIME]:%Y-%m-%d %H:%M}  {hour['forecast']:,.0f} MW ({limits})"
    if tested is None:
        yield "  too few hours that the network has not seen for a backtest"
        return
    yield f"  {verdict(tested)} ({tested.forecasts} forecasts)"
    for lead in sorted({1, len(tested.coverage)}):
        yield f"  {lead} h ahead, within the intervals: {held(tested.coverage[lead - 1], levels)}"


def held(shares: Sequence[float] | np.ndarray, levels: Sequence[int]) -> str:
    """How many loads were within intervals, for each level, both in percent."""
    known = zip(shares, levels, strict=True)
    return ", ".join(f"{share:.0f} % (nominal {level} %)" for share, level in known if not np.isnan(share)) or "unknown"


def _limits(level: int, low: float, high: float) -> str:
    if np.isnan(low):
        return f"{level} %: too few errors are known"
    return f"{level} %: {low:,.0f} to {high:,.0f}"
