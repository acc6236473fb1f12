package com.amazonaws.services.glue;

import org.apache.spark.SparkContext;

/** What the Python class of this name asks Glue's own library for, as far as scripts that use plain Spark need it: nothing. */
public class GlueContext {
    public GlueContext(SparkContext context) {
    }
}
