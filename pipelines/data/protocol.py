"""Names and places of the data sets, what is fixed of the recurrent protocol, and a normalisation of images."""

PJM, CIFAR10, SAMPLE = "pjm", "cifar10", "sample"
DATA_DIR = "data"  # folder of the prepared data sets, unless another is given
META_FILE = "meta.json"  # in the folder of each: it has been prepared

# The recurrent protocol, common to every row: 90 hours in, the next hour out; the last tenth of each series' windows is
# the test part, the last tenth of the rest the validation part of whatever is chosen.
LOOKBACK = 90
TEST_FRACTION = 0.1
VALIDATION_FRACTION = 0.1
FEATURES = ("load", "hour", "day_of_week", "month", "day_of_year")

HALF = (0.5, 0.5, 0.5)  # mean and deviation of the channels that take pixels, in units of 0-1, to -1..1
