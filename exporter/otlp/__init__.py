"""OTLP: bytes in either encoding to one set of typed records, and back."""
