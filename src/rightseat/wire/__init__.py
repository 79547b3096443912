"""How things are written down: bytes and JSON to values and back. No await, no socket, no clock in this package."""
