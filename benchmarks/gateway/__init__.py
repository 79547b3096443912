"""What a request through a gateway costs, beside nginx, a bare relay and the peers: `python -m benchmarks.gateway --help`."""
