"""Types of settings, with the limits of their values, which pydantic checks."""

from typing import Annotated

from annotated_types import Ge, Interval

from pipelines.cli.types import MOST_DROPOUT, MOST_EPOCHS, MOST_ITEMS, MOST_PROCESSES, MOST_UNITS

_MOST_LAYERS = 1000

Epochs = Annotated[int, Interval(ge=1, le=MOST_EPOCHS)]
Items = Annotated[int, Interval(ge=1, le=MOST_ITEMS)]  # of a batch
Units = Annotated[int, Interval(ge=1, le=MOST_UNITS)]  # of a layer
HeadUnits = Annotated[int, Interval(ge=0, le=MOST_UNITS)]  # 0 for no layer
Layers = Annotated[int, Interval(ge=1, le=_MOST_LAYERS)]
Processes = Annotated[int, Interval(ge=1, le=MOST_PROCESSES)]
Hours = Annotated[int, Interval(ge=1, le=MOST_ITEMS)]
Length = Annotated[int, Interval(ge=0, le=MOST_ITEMS)]  # in hours or pixels; 0 for none
Rate = Annotated[float, Ge(0)]
Decay = Annotated[float, Interval(ge=0, lt=1)]  # of a moving average, such as momentum
Share = Annotated[float, Interval(ge=0, le=1)]
Dropout = Annotated[float, Interval(ge=0, le=MOST_DROPOUT)]
Fraction = Annotated[float, Interval(gt=0, le=1)]  # of the training part
