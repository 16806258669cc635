"""Pulling live streams: who pulls which, one process for each, and their freshest frames to the broker."""
