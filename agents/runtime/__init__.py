"""The data-plane loop: what every consumer needs, so that an agent is only what it consumes and does."""
