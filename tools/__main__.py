"""`python -m tools` is `arrivals`."""

import sys

from tools.command import main

sys.exit(main())
