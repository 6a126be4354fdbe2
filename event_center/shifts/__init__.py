"""What people of a shift keep and hand on: searches by name, and notes to those who come next."""
