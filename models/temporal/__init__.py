"""What manipulation may leave behind in a face over time, one analysis a module; see `models.temporal.analysis`."""
