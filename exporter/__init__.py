"""The write side of Postel: OTLP over HTTP in, rows in PostgreSQL out."""
