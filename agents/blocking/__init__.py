"""Blocking publishers of live streams: who is denied, live servers that are told, and the door that they ask."""
