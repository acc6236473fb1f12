"""Glue's side of the local cloud: a Spark that runs job scripts, and AWS's `awsglue` with what it lacks here.

Runs in `.venv/spark`, which holds PySpark, a Java runtime and AWS's Python half of `awsglue`; its Java half is not on
PyPI. In its place stand three small classes in `java/`, which do what a script of plain Spark needs: there are no
DynamicFrames, job bookmarks or catalog.
"""
