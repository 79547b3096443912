"""Keys of the gateway's own: made, kept as hashes, limited and counted."""
