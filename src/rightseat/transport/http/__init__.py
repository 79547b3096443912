"""HTTP to the outer world: the seam in `base`, aiohttp behind it, and compression of what is sent."""
