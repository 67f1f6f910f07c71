"""Processor time and energy of a run, on counters made by hand."""

import json
import subprocess
import sys
import time

import pytest

from pipelines.errors import UserError
from pipelines.launching.costs import costs, energy
from pipelines.processes import usage


class Recorder:
    """Stands for a run."""

    def __init__(self):
        self.metrics, self.tags = {}, {}

    def set_tags(self, tags):
        self.tags |= tags

    def log_metrics(self, metrics):
        self.metrics |= metrics


@pytest.fixture
def powercap(tmp_path):
    for name, joules in (("intel-rapl:0", 10), ("intel-rapl:1", 90), ("intel-rapl:0:0", 5)):
        package = tmp_path / name
        package.mkdir()
        (package / "max_energy_range_uj").write_text("100000000\n")
        (package / "energy_uj").write_text(f"{joules * 1_000_000}\n")
    return tmp_path


def test_energy_is_that_of_all_packages_also_where_a_counter_begins_again(powercap):
    run = Recorder()
    with costs(run, powercap):
        (powercap / "intel-rapl:0" / "energy_uj").write_text("17000000\n")
        (powercap / "intel-rapl:1" / "energy_uj").write_text("4000000\n")
        (powercap / "intel-rapl:0:0" / "energy_uj").write_text("9000000\n")
    assert run.metrics["cost/energy_j"] == pytest.approx(7 + 14)


@pytest.mark.parametrize("text", ["", "many"])
def test_a_counter_that_cannot_be_read_is_left_out(powercap, text):
    (powercap / "intel-rapl:1" / "energy_uj").write_text(text)
    assert energy(powercap) == {"intel-rapl:0": (10, 100)}


def test_without_counters_there_is_no_energy(tmp_path):
    run = Recorder()
    with costs(run, tmp_path / "absent"):
        pass
    assert list(run.metrics) == ["cost/cpu_s"]


def test_processor_time_includes_processes_that_have_ended():
    run, busy = Recorder(), "import time\nwhile time.process_time() < 0.3: pass"
    before = time.process_time()
    with costs(run):
        subprocess.run([sys.executable, "-c", busy], check=True)
    assert run.metrics["cost/cpu_s"] >= before + 0.3


def test_what_a_run_cost_before_it_failed_is_added_when_it_is_continued(powercap):
    run, counter = Recorder(), powercap / "intel-rapl:0" / "energy_uj"

    def fails():
        with costs(run, powercap):
            counter.write_text(str(int(counter.read_text()) + 5_000_000))
            raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            fails()
    assert run.metrics == {}
    before = json.loads(run.tags["spent"])["cost/cpu_s"]
    began = time.process_time()
    with costs(run, powercap):
        counter.write_text("23000000\n")
    assert run.metrics["cost/energy_j"] == pytest.approx(5 + 5 + 3)
    assert run.metrics["cost/cpu_s"] >= before + began > 2 * began


def uses(powercap, seconds, joules):
    """Uses a processor for so long, and the energy."""
    end, counter = time.process_time() + seconds, powercap / "intel-rapl:0" / "energy_uj"
    while time.process_time() < end:
        pass
    counter.write_text(str(int(counter.read_text()) + joules * 1_000_000))


def test_what_is_used_apart_is_left_out(powercap):
    run = Recorder()
    with costs(run, powercap) as apart:
        uses(powercap, 0.0, 3)
        with apart():
            uses(powercap, 0.2, 20)
            with apart():
                uses(powercap, 0.2, 20)
        uses(powercap, 0.0, 4)
        used = usage.processor_time()
    assert run.metrics["cost/energy_j"] == pytest.approx(3 + 4)
    assert run.metrics["cost/cpu_s"] <= used - 0.4 + 0.1


def test_what_is_used_apart_is_left_out_of_a_run_that_fails_there(powercap):
    run = Recorder()

    def fails():
        with costs(run, powercap) as apart:
            uses(powercap, 0.0, 3)
            with apart():
                uses(powercap, 0.0, 20)
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    with costs(run, powercap):
        uses(powercap, 0.0, 4)
    assert run.metrics["cost/energy_j"] == pytest.approx(3 + 4)


@pytest.mark.parametrize("tag", ["", "nonsense", "[]", "3", '{"cost/cpu_s": "many"}'])
def test_a_tag_that_is_not_what_was_written_is_one_line(tag):
    run = Recorder()
    run.tags["spent"] = tag
    with pytest.raises(UserError, match="its tag 'spent' is not what was written"), costs(run):
        pass
