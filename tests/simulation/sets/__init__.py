"""Sets against the world at its worst.

`plan_arrival`, `start`, `sets.collect` and `sets.plan_set` run here as they are: their gates lead to S3, Step Functions and clocks
that are simulated, and each call may come late, be lost, be repeated or kill its caller.
"""
