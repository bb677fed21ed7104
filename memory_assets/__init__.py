"""What is made: every derived memory as a Dagster asset, one module per step in the order of the data."""
