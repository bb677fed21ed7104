"""From samples to the weights of an adapter."""
