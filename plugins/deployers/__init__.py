"""Where an adapter is served."""
