"""Fit what the fleet learns itself, on data that stays outside the repository."""
