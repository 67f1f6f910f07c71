"""Names of the data sets, and lookback, features and parts of the recurrent protocol."""

# The recurrent protocol, common to every row: 90 hours in, the next hour out; the last tenth of each series' windows is
# the test part, the last tenth of the rest the validation part of whatever is chosen.
LOOKBACK = 90


TEST_FRACTION = 0.1


VALIDATION_FRACTION = 0.1


FEATURES = ("load", "hour", "day_of_week", "month", "day_of_year")


PJM, CIFAR10, SAMPLE = "pjm", "cifar10", "sample"
