"""Chats as the exporters of phones and of Signal write them."""
