"""Who we are at GitHub: accounts, their tokens, their quota, and which of them answers a request. Does not know what is asked."""
