"""HTTP as the gateway sees it: one exchange at a time. Does not know what is asked."""
