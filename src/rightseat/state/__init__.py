"""What several processes share: keys, their budgets and reservations. Stores are async protocols; memory and SQL are behind them."""
