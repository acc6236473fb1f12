package com.amazonaws.services.glue.util;

import java.util.Map;
import org.apache.spark.sql.SparkSession;
import org.slf4j.LoggerFactory;

/** A job's beginning and end. Here a commit is a line in the log; job bookmarks, which Glue's own moves on then, are not there. */
public class Job {
    private static String name;

    public static void init(String job, SparkSession session, Map arguments) {
        name = job;
    }

    public static boolean isInitialized() {
        return name != null;
    }

    public static void commit() {
        LoggerFactory.getLogger("GlueJob").info("Job " + name + " committed");
    }
}
