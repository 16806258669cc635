"""SQL migrations: plain SQL, applied in the order of their numbers, never edited once applied."""
