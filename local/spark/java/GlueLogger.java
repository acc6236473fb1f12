package com.amazonaws.services.glue.log;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Glue's logger: it writes a script's lines to the driver's log. */
public class GlueLogger {
    private final Logger logger = LoggerFactory.getLogger("GlueLogger");

    public void info(String message) {
        logger.info(message);
    }

    public void warn(String message) {
        logger.warn(message);
    }

    public void error(String message) {
        logger.error(message);
    }
}
