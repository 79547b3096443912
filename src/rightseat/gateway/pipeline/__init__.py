"""From a request to what upstream is asked, and from what it answers to an answer for the client."""
