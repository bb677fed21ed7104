"""How frames become other frames, where nobody replaces it: pure functions, without Dagster and without stores."""
