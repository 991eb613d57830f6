"""The read side of Postel: what is stored, answered over HTTP."""
