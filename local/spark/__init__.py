"""Glue's side of the local cloud: a Spark that runs job scripts, and AWS's `awsglue` with the classes that it lacks.

Runs in `.venv/spark`, which holds PySpark, a Java runtime and AWS's Python half of `awsglue`; its Java half is not on
PyPI. Three small classes in `java/` replace it, enough for a script of plain Spark: there are no DynamicFrames, job
bookmarks or catalog.
"""
