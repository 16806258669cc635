"""The models: their manifest, how they are loaded and run, and how their scores become a decision."""

import os

# ONNX Runtime's Linux wheels report to their maker unless told otherwise before they are loaded
# (https://github.com/microsoft/onnxruntime/pull/27379). What media a platform examines is nobody else's business.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
