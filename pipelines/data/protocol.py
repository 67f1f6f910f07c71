"""Names and folders of the data sets, constants of the recurrent protocol, and a normalisation of images."""

PJM, CIFAR10, SAMPLE = "pjm", "cifar10", "sample"
DATA_DIR = "data"  # folder of the prepared data sets, unless another is given
META_FILE = "meta.json"  # in the folder of a data set that has been prepared
KIND = "kind"  # key of that file, of data of a user's own
LOAD, IMAGES = "load", "images"  # kinds: hourly electricity load, and labelled images

# The recurrent protocol, common to every row: 90 hours in, the next hour out; the last tenth of each series' windows is
# the test part, the last tenth of the rest the validation part for every choice of settings.
LOOKBACK = 90
TEST_FRACTION = 0.1
VALIDATION_FRACTION = 0.1
FEATURES = ("load", "hour", "day_of_week", "month", "day_of_year")

HALF = (0.5, 0.5, 0.5)  # mean and standard deviation of the channels that map pixels from 0..1 to -1..1
