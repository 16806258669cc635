import os
import subprocess
import sys
from pathlib import Path


def test_onnx_runtime_does_not_report_home(tmp_path: Path) -> None:
    """Its reporter marks a session of its own in a file as soon as it is loaded."""
    kept = {name: value for name, value in os.environ.items() if name not in {"CI", "ORT_DISABLE_TELEMETRY"}}
    load = "import sys; {}import onnxruntime; onnxruntime.InferenceSession"
    for first, reports in (("", True), ("import models; ", False)):
        folder = tmp_path / str(reports)
        folder.mkdir()
        environment = {**kept, "TMPDIR": str(folder), "HOME": str(folder)}
        subprocess.run([sys.executable, "-c", load.format(first)], env=environment, check=True, timeout=60)
        assert any(folder.rglob(".ses")) == reports
