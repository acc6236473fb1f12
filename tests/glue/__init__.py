"""The Glue job, on Spark and without."""
