"""Live streams: what is remembered of them, and when they alert."""
