"""Commands for those who work on the fleet; nothing here runs with it."""
