"""One module a trigger: parse, plan, start."""

import gc

# Imports make a hundred thousand objects and hardly any garbage; collecting them over and over is a twentieth of a cold
# start. A hundred thousand events' objects fit into memory as well.
gc.set_threshold(100_000)
