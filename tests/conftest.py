"""What holds for every test."""

import os

from hypothesis import settings

# pytest-xdist tells its workers the size of its own terminal; programs that tests start have terminals of their own.
for _name in ("COLUMNS", "LINES"):
    os.environ.pop(_name, None)

# A deadline an example would be a timing assertion: the machines are shared.
settings.register_profile("trueframe", deadline=None)
settings.load_profile("trueframe")
