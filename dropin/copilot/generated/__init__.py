"""Where the official SDK keeps its generated modules."""
