"""Benchmarks: each takes the path of its data as an argument and prints one JSON line."""
