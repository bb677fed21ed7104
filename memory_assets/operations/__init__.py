"""What a person or a schedule lets the graph do: materialize, plan, repair, forget, evaluate."""
