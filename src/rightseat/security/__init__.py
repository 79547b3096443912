"""Where secrets come from, and what they look like."""
