"""Names that options take. Each is looked up when it is needed: help of a group, and most commands, need none."""

from collections.abc import Iterable

from analysis import shown


def formats() -> Iterable[str]:
    """Formats of a comparison."""
    from analysis import formats

    return (shown.AUTO, shown.TERMINAL, *formats.FORMATS)


def claims_formats() -> Iterable[str]:
    """Formats of the verdicts on claims."""
    from analysis.claims import text

    return (shown.AUTO, shown.TERMINAL, *text.FORMATS)


def diff_formats() -> Iterable[str]:
    """Formats of the differences between two runs."""
    from analysis import diff

    return (shown.AUTO, shown.TERMINAL, *diff.FORMATS)


def export_formats() -> Iterable[str]:
    """Formats of an export, and auto."""
    from analysis import export

    return (shown.AUTO, *export.FORMATS)


def listing_formats() -> Iterable[str]:
    """Formats of a list of runs."""
    from analysis import listing

    return listing.FORMATS


def judged() -> Iterable[str]:
    """Entries whose report says something in words."""
    from analysis.entries import index

    return index.STATEMENTS


def reported() -> Iterable[str]:
    """Entries that a report can have."""
    from analysis.entries import index

    return index.VIEWS


def metrics() -> Iterable[str]:
    """Metrics that comparisons show."""
    from analysis.entries import index

    return dict.fromkeys(metric for view in index.VIEWS.values() for metric in view.metrics)


def rows() -> Iterable[str]:
    """Rows of the catalogue."""
    from analysis.entries import index

    return dict.fromkeys(row for view in index.VIEWS.values() for row in view.rows)


def trainings() -> Iterable[str]:
    """Ways of training a row."""
    from analysis.entries import index

    return dict.fromkeys(training for view in index.VIEWS.values() for training in view.trainings)


def parameters() -> Iterable[str]:
    """Parameters of the catalogue's rows."""
    from analysis.entries import index

    found: dict[str, None] = {}
    for view in index.VIEWS.values():
        if view.row_settings:
            row, training = next(iter(view.rows)), next(iter(view.trainings))
            found |= dict.fromkeys(view.row_settings(row, view.dataset, training, 0, 1.0).params())
    return found
