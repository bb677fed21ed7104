"""What would expose somebody, found and replaced."""
