"""Where interactions come from: files, chat exports, research sets and databases."""
