"""The one place where entries are registered: what comparisons, claims and the report are handed."""

from collections.abc import Mapping

from analysis.claims.statements import Statements
from analysis.entries import ablation, pretrain, recurrent, resnet
from analysis.entries.flaws import FLAWS, REPORTS
from analysis.report.contents import Contents
from analysis.view import View

ENTRIES = (recurrent.ENTRY, ablation.ENTRY, resnet.ENTRY, pretrain.ENTRY)

VIEWS: Mapping[str, View] = {entry.name: entry.view for entry in ENTRIES}
STATEMENTS: Mapping[str, Statements] = {entry.name: entry.statements for entry in ENTRIES if entry.statements}

REPORT = Contents(
    about=(
        "Two course reports reproduced: recurrent forecasters of electricity load; CNNs, MLPs and ResNets on images."
    ),
    views=VIEWS,
    statements=STATEMENTS,
    chapters=tuple(entry.chapter for entry in ENTRIES if entry.chapter),
    costs=tuple(entry.cost for entry in ENTRIES if entry.cost),
    flaws=FLAWS,
    reports=REPORTS,
)
