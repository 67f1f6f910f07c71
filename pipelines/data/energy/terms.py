"""Terms that a user gives about tables of load: units, orders of dates, policies for missing hours. Plain data."""

# Megawatts in one of each unit. Energies are those of one reading: see reader/hours.py.
POWERS = {"W": 1e-6, "kW": 1e-3, "MW": 1.0, "GW": 1e3}
ENERGIES = {"Wh": 1e-6, "kWh": 1e-3, "MWh": 1.0, "GWh": 1e3}
UNITS = POWERS | ENERGIES

DAY_FIRST, MONTH_FIRST, YEAR_FIRST, EPOCH = "day first", "month first", "iso", "epoch"
ORDERS = (DAY_FIRST, MONTH_FIRST, YEAR_FIRST, EPOCH)

SKIP, FILL, KEEP = GAPS = ("skip", "fill", "keep")  # see gaps.py
