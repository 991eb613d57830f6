"""Defaults that are shipped with Postel: settings and the base list of promoted attributes."""
