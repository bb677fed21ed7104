"""How good an interaction is, what was felt in it, and what it is about."""
