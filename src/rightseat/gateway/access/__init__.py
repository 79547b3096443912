"""Who may come in, for what, and how much: a module a question, in the order in which a request meets them."""
