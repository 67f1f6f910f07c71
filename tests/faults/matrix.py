"""The matrix of faults: what can go wrong around a run, and what is right then. A row for each kind of fault.

A test holds a row with the marker ``@pytest.mark.fault(number)``, wherever under tests/ it is.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """A row: its number, the situation, and what is right in it, in plain words."""

    number: int
    situation: str
    right: str


MATRIX = (
    Fault(1, "An exception within a run", "The run is FAILED, with the reason."),
    Fault(2, "SIGTERM or SIGINT at any moment", "The runs are KILLED; the exit code is 143 or 130."),
    Fault(3, "kill −9 of a run", "What was acknowledged is there; a sweep sets the status right."),
    Fault(
        4,
        "The launcher is killed, at any moment",
        "No process of the launch is left after a while: seconds, or two minutes on a busy machine.",
    ),
    Fault(5, "A parameter that is bad or unknown", "One line says which; exit code 2, and no run."),
    Fault(6, "The tracking server is absent", "One line names it, within 15 s, before any run."),
    Fault(7, "The tracking server never answers", "One line names it, within 15 s, before any run."),
    Fault(
        8,
        "The tracking server is gone for 10 s, or for good",
        "Training goes on; what was measured waits on the disk and is sent later, without loss or duplicate.",
    ),
    Fault(9, "The upload of an artifact fails", "The run is not FINISHED; a copy stays here, and is named."),
    Fault(
        10,
        "The loss becomes NaN or infinite, at any point",
        "The run is FAILED, with the step; such a network never becomes champion.",
    ),
    Fault(11, "A launch is resumed with changed parameters or code", "The difference is named before it goes on."),
    Fault(12, "A killed run is resumed", "No step is in a metric's history twice."),
    Fault(
        13,
        "Four launches start at once on a fresh database, each with its own TMPDIR",
        "All run, on the same database.",
    ),
    Fault(14, "Eight processes write 300 batches each to one database", "Every value is there."),
    Fault(15, "The database is locked for 10 s, or for 45 s", "The launch waits, or says so in one line."),
    Fault(
        16,
        "The disk is full: for a checkpoint, an artifact, the database",
        "The run does not stay RUNNING; the last checkpoint loads.",
    ),
    Fault(17, "kill −9 in the middle of a save, 20 times", "The newest whole checkpoint loads; nothing is left over."),
    Fault(
        18,
        "A checkpoint that is truncated, empty, flipped or another run's",
        "It is refused in one line, or the one before it is taken.",
    ),
    Fault(19, "A malicious checkpoint, model, data folder or recipe", "Nothing in it is run; one line refuses it."),
    Fault(20, "Unsafe switches in the environment", "They change nothing: no pickle is run."),
    Fault(21, "A download that is cut off", "It goes on where it stopped, or is refused; never taken for whole."),
    Fault(22, "A download with the wrong digest", "It is refused, and not kept."),
    Fault(23, "kill −9 in the middle of a download", "The next one goes on; nothing half-written is taken for whole."),
    Fault(24, "Two or three preparations of the same data at once", "One prepares, the others find it whole."),
    Fault(
        25,
        "An archive with ../, an absolute path, a link, a bomb or a FIFO",
        "It is refused; nothing is written outside, nothing hangs.",
    ),
    Fault(26, "Data or weights of the wrong type, shape, label or count", "One line says what and where."),
    Fault(
        27,
        "Hours that are unsorted, duplicated, missing, zero, NaN, negative or in the far future",
        "They are counted and kept by the stated rule, or refused with file and line.",
    ),
    Fault(28, "Out of memory, in its known spellings", "The row goes on in smaller parts, or says what to lower."),
    Fault(29, "A worker of a study is killed", "Its trial is run once more, and no oftener."),
    Fault(30, "A study goes on with another space or direction", "It is refused in one line."),
    Fault(31, "A study goes on after a kill", "No parameters are run a second time."),
    Fault(32, "The same row with the same seed, twice", "The same bits, for every kind that is trained."),
    Fault(33, "kill −9 and resume", "The bits of an undisturbed run: recurrent, CNN, ResNet."),
    Fault(34, "A tracking server with 10,000 runs", "Tables come within bounds of time and memory."),
    Fault(
        35,
        "The user interface is called by a foreign host or origin, or with a path that climbs",
        "It listens on 127.0.0.1 alone, and refuses them.",
    ),
    Fault(36, "A folder with a space, ü, #, %41, ?, a quote or a leading dash in its name", "Everything runs there."),
    Fault(37, "Secrets in every address that is taken", "None is stored, printed or shown."),
    Fault(
        38,
        "The clock is stepped, or a process lives in another PID namespace",
        "A run that is alive, or may be, is left alone.",
    ),
    Fault(39, "Two resumes of a launch from two hosts", "One works, the other is refused in one line."),
    Fault(40, "Links planted where files are written", "No write goes through a link."),
)
