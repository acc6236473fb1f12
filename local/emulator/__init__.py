"""The local cloud: ministack, with the gaps closed that the integration tests of this application need closed.

The rule: a seam stays only if it lets the integration tests catch a mistake in `src/`, `statemachine/`, `glue/` or
`template.yaml` that no cheaper test catches. docs/local-cloud.md lists what is emulated and what is not.

`python -m local.emulator` is the server, and runs in the environment that holds ministack; `process.py` starts it from
any other. One module a gap: its docstring says what AWS does and what ministack does not. Nothing here is proof of what
AWS does, only of what the application does when AWS behaves as documented. Only the local cloud can show that the
template, the definitions, the roles and the code fit together.
"""
