"""PostgreSQL: klines and trades for years, digits intact. The only package that sees the driver."""
