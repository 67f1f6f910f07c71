"""The table of recurrent rows, in full."""

from support.frames import frame

from analysis import formats
from analysis.entries.index import VIEWS
from analysis.tables.compare import compare
from analysis.tables.table import Options

RECURRENT_TABLE = """\
| row | training | lr | n | training_time_s | evaluation_time_s | smape | smape_report | smape_report 95 % \
| training_time_s published \
| evaluation_time_s published | smape_report published | smape_report.difference |
| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| gru-2 | dense | 0.006 | 2 | 105.0 ± 7.1 | – | 0.940 ± 0.028 | 0.2350 ± 0.0071 | 0.1715 … 0.2985 | 763.7 \
| 7.13 | 0.239 | -0.0040 |
| rnn-2 | dense | 0.002 | 1 | – | – | – | 0.2500 | – | 310.1 | 2.68 | 0.297 | -0.0470 |
| linear-ar | none | – | 1 | – | – | – | 0.2530 | – | – | – | – | – |

- ±: sample standard deviation over the n runs of a line (divisor n − 1).
- 95 %: interval of the mean by Student's t over the runs; it knows nothing of other test data.
- (n=k): only k of the line's runs have a finite value; a dash: none has.
- smape: 100/n Σ |F−A| / ((|F|+|A|)/2) in percent, from 0 to 200, mean over the series.
- smape_report: a quarter of smape, because the tutorial that the forecasting report follows codes it so.
- published: forecasting report, Table 1, one run, its times on a GPU; ours are those of the host that ran.
- dense: trained on a target at every hour of contiguous segments, not the published protocol.
"""


def test_a_recurrent_table_in_full():
    gru = {"tags.row": "gru-2", "params.cell": "GRU", "params.layers": "2", "params.lr": "0.006"}
    rnn = {"tags.row": "rnn-2", "params.cell": "RNN", "params.layers": "2", "params.lr": "0.002"}
    linear = {"tags.row": "linear-ar", "tags.training": "none", "params.method": "least squares"}
    found = frame(
        gru | {"metrics.training_time_s": 100.0, "metrics.smape": 0.92, "metrics.smape_report": 0.23},
        gru | {"tags.seed": "1", "metrics.training_time_s": 110.0, "metrics.smape": 0.96, "metrics.smape_report": 0.24},
        rnn | {"metrics.smape_report": 0.25, "tags.verified": "true"},
        linear | {"metrics.smape_report": 0.253},
    )
    assert formats.to_markdown(compare(found, VIEWS, Options())) == RECURRENT_TABLE
