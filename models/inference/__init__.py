"""Running models: sessions on what the machine has, batches, turns, and what happens when memory is short."""
