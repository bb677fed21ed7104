"""The read path and capture: recall, context, persona, the Python client. It never waits for, nor imports, the orchestrator."""
