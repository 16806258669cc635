"""`fleet top`: what workers do at this moment, from their own metrics, and what holds them up, in words."""
