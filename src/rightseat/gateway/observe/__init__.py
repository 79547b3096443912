"""What is noted of each request: log, metrics, time series. Watching never steers."""
