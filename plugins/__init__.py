"""The replaceable algorithms: pure functions over frames and batches of text. They know neither Dagster nor where data lives."""
