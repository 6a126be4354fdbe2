"""Picture health: what is wrong with a picture, and where it is heading."""
