"""What the detectors and analyses are worth: measured on labelled media, beside the shortcuts that could explain it."""
