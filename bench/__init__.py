"""What the README's numbers come from: Postel beside the JSONB tables one would write by hand, in one run."""
