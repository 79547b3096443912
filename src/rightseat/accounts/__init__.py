"""Who we are at GitHub: accounts, their tokens, their quota, and which of them answers a request. Refuses to know what is asked."""
