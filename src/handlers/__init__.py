"""One module for each trigger: parse, plan, start."""

import gc

# Imports make a hundred thousand objects and almost no garbage. To collect them again and again is a twentieth of a
# cold start. The objects of a hundred thousand events fit into memory as well.
gc.set_threshold(100_000)
