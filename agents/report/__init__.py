"""Verdicts for people: cards and tables for a terminal, pictures for a file."""
