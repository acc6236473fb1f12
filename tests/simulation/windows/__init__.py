"""The windows protocol against the world at its worst.

`src/shared/domain/windows.py` runs here as it is: its gates lead to S3, Step Functions and clocks that are simulated, and each call
may come late, be lost, be repeated or kill its caller. `steps.py` makes plain functions run in steps, `world.py` holds the
services and all that happens to them, `verdict.py` the promise, `plants.py` the mistakes that must be found.
"""
