"""What is served: an endpoint a file."""
