"""The domain: functions of their arguments. Nothing here calls AWS, reads the environment or asks a clock.

If a decision needs an answer from outside, it takes a callable; `gates` has them. A test checks that `domain` imports
nothing from `gates`.
"""
