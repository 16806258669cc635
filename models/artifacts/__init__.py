"""What manipulation may leave behind in a face crop, one analysis a module; see `models.artifacts.analysis`."""
