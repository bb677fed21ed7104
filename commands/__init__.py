"""The sub-commands of `memory`, by subject. They parse, call and print; what they do lives behind them."""
