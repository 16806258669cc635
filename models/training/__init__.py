"""Training of the detectors of altered faces, on photographs of real faces only (extra `train`)."""
