"""What people run today in Postel's place, as servers of their own, given the same bodies by the same client."""
