"""The stores and clients: where things live. Plain classes without Dagster; `orchestrated.py` hands them to Dagster."""
