"""What is decided (`domain`: pure, calls nothing), and what calls the outside (`gates`); neither knows handlers."""
