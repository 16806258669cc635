"""Exactly one ONNX Runtime."""

import pytest

from models.exceptions import ProviderUnavailable
from models.inference.installed import DISTRIBUTIONS, installed_runtimes, the_runtime


def test_one_is_installed_here() -> None:
    assert the_runtime(installed_runtimes()) in {"onnxruntime", "onnxruntime-gpu"}


def test_none_is_an_error_that_names_the_extras() -> None:
    with pytest.raises(ProviderUnavailable, match=r"not installed: pip install 'deepfake-fleet\[cpu\]', or \[gpu\]"):
        the_runtime([])


def test_both_are_an_error_that_says_what_to_do() -> None:
    with pytest.raises(ProviderUnavailable, match=r"both installed.*pip uninstall --yes onnxruntime onnxruntime-gpu"):
        the_runtime(["onnxruntime", "onnxruntime-gpu"])


def test_one_that_is_only_measured_is_one_too_and_overwrites_the_others_as_they_do_each_other() -> None:
    assert the_runtime(["onnxruntime-openvino"]) == "onnxruntime-openvino"
    with pytest.raises(ProviderUnavailable, match="all installed"):
        the_runtime(DISTRIBUTIONS)
