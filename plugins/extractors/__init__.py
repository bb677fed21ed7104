"""What is remembered of a conversation: facts, episodes, and what becomes of similar ones."""
