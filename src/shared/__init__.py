"""The decisions (`domain`: pure, calls nothing), and the calls to the outside (`gates`); neither imports handlers."""
