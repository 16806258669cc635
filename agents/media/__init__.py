"""Media: reading it from where it lies, and decoding it where it can do no harm."""
