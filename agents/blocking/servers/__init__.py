"""Live servers, each by its own documented interface: throwing a publisher out, and what it asks at the door."""
