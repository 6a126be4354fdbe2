"""What holds for every test."""

import os

# pytest-xdist tells its workers the size of its own terminal; programs that tests start have terminals of their own.
for _name in ("COLUMNS", "LINES"):
    os.environ.pop(_name, None)
