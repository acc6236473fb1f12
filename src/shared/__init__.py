"""What is decided (`domain`: pure, calls nothing) and what asks or tells the outside (`gates`); neither knows the handlers."""
