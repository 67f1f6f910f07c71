"""The model card of a registered forecaster: what whoever uses it has to know, in markdown."""

from pipelines import names
from pipelines.forecasting.champion import Champion

_MOST_SPANS = 12
# Each paragraph is one line, since MLflow shows the end of a line as one.
_CARD = """\
Forecasts the hours that follow an hourly load, hour by hour, by `{row}`, one network (seed 0).

- **Data**: `{dataset}`, {count} series, digest {digest}: {spans}. The last part of each is the test part, which the \
network has not seen.
- **Chosen** by {val}, over {windows:,} hours of the training part that a network of the same settings was trained \
without. The tag {test} has the test error of all its seeds.
- **Takes** at least {hours} hours without a gap: `time` (local) and `load` (MW), and `series` for one of the \
training; any other is scaled by its own history.
- **Limits**: no weather; {holidays}. Intervals hold as long as errors to come are like those before.
- **Licence**: of the code MIT; of the data that of whoever published them."""


def card(champion: Champion) -> str:
    """The card, in markdown."""
    about = champion.about
    spans = [f"{name} {each['from'][:10]} to {each['to'][:10]}" for name, each in about["series"].items()]
    more = [f"and {len(spans) - _MOST_SPANS} more"] if len(spans) > _MOST_SPANS else []
    return _CARD.format(
        row=champion.row,
        dataset=about["dataset"],
        count=len(spans),
        digest=about["digest"][:12],
        spans="; ".join(spans[:_MOST_SPANS] + more),
        val=names.VAL_SMAPE,
        windows=about["validation windows"],
        test=names.SMAPE_REPORT,
        hours=champion.network.lookback,
        holidays=f"the public holidays of {about['country']}" if about["country"] else "no holidays",
    )
