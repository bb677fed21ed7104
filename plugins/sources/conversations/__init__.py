"""Conversations as models are trained on, and as their APIs log them."""
