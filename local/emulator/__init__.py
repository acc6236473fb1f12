"""The local cloud: ministack, without the gaps that matter to the integration tests of this application.

The rule: keep a seam only if the integration tests catch a mistake with it that no cheaper test catches, in `src/`,
`statemachine/`, `glue/` or `template.yaml`. docs/local-cloud.md has a list of the emulated parts and of the others.

`python -m local.emulator` is the server, and runs in the environment with ministack; `process.py` starts it from any
other. Each module closes one gap: its docstring has the behaviour of AWS and of ministack. Nothing here proves how AWS
behaves. The local cloud shows how the application behaves if AWS behaves as documented: template, definitions, roles
and code together.
"""
