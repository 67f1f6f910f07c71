import os
from multiprocessing import Pipe

import pytest

from pipelines.processes.reports import Report, Reports


@pytest.fixture
def pipe():
    reader, writer = Pipe(duplex=False)
    reports = Reports(writer)
    reports.open()
    yield reader, reports
    reader.close()
    writer.close()


def received(reader):
    found = []
    while reader.poll():
        found.append(reader.recv())
    return found


def test_a_phase_arrives_with_the_epochs_that_were_reached(pipe):
    reader, reports = pipe
    reports.progress(Report("training", epoch=3, epochs=6, share=0.5, loss=0.25, rate=12.0, left_s=7.0))
    reports.phase("exporting")
    assert received(reader) == [
        Report("training", epoch=3, epochs=6, share=0.5, loss=0.25, rate=12.0, left_s=7.0),
        Report("exporting", epoch=3, epochs=6),
    ]


def test_updates_in_quick_succession_are_reported_once(pipe):
    reader, reports = pipe
    for update in range(1000):
        reports.progress(Report("training", share=update / 1000))
    assert len(received(reader)) < 100


def test_a_process_whose_reports_nobody_reads_goes_on(pipe):
    reader, reports = pipe
    for number in range(10_000):
        reports.phase(f"phase {number}")
    arrived = received(reader)
    assert 0 < len(arrived) < 10_000
    assert arrived == [Report(f"phase {number}") for number in range(len(arrived))]


def test_a_message_that_the_pipe_does_not_take_is_on_stderr(pipe, capsys):
    reader, reports = pipe
    reports.message("short")
    assert (received(reader), capsys.readouterr().err) == (["short"], "")
    reports.message("long " * 200)
    assert (received(reader), capsys.readouterr().err) == ([], "long " * 200 + "\n")
    reader.close()
    reports.message("the reader is gone")
    assert capsys.readouterr().err == "the reader is gone\n"


def test_no_pipe_takes_everything(capsys):
    reports = Reports()
    reports.open()
    reports.phase("training")
    reports.message("a message")
    assert capsys.readouterr().err == "a message\n"


def test_one_report_is_written_at_once():
    """Longer ones could arrive in part where the pipe is full, and spoil all that follow."""
    reader, writer = Pipe(duplex=False)
    name = "a" * 60
    writer.send(Report(name, 999_999, 1_000_000, 1 / 3, -1.2345678901234567e-300, 1 / 3, 123456.789))
    assert len(os.read(reader.fileno(), 10_000)) <= 512  # POSIX's least PIPE_BUF
