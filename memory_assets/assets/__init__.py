"""The assets, one module per step in the order of the data."""
