"""The local cloud: ministack, with the gaps closed that this application meets.

`python -m local.emulator` is the server, and runs in the environment that holds ministack; `process.py` starts it from
any other. One module a gap: its docstring says what AWS does and what ministack does not. Nothing here is proof of what
AWS does, only of what the application does when AWS behaves as documented.
"""
