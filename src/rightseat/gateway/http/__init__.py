"""HTTP as the gateway sees it: one exchange at a time. Refuses to know what is asked."""
