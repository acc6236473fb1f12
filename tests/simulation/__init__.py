"""The real handlers against fakes with AWS's semantics, in every order and with every fault Hypothesis can think of."""

import os
import sys
from pathlib import Path

SOURCE = str(Path(__file__).resolve().parents[2] / "src")
if SOURCE not in sys.path:  # pytest has put it there, `python -m` has not
    sys.path.insert(0, SOURCE)

from tests.unit.builders import ENVIRONMENT  # noqa: E402 - it imports from src

os.environ.update(ENVIRONMENT)
