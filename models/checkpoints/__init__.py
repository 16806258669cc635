"""Files of weights, read into arrays by name. A file is hostile until it has been read."""
