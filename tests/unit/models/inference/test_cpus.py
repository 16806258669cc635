"""What CPUs can."""

from pathlib import Path

import pytest

from models.inference.cpus import has_vnni


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        (["fpu avx2 avx512_vnni", "fpu avx2 avx512_vnni"], True),
        (["fpu avx2 avx_vnni"], True),
        (["fpu avx2 avx512f"], False),
        # A run may be on any of them.
        (["fpu avx512_vnni", "fpu avx2"], False),
        ([], False),
    ],
)
def test_vnni_is_there_where_every_cpu_has_it(tmp_path: Path, flags: list[str], wanted: bool) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("".join(f"processor\t: {n}\nflags\t\t: {each}\n\n" for n, each in enumerate(flags)))
    assert has_vnni(cpuinfo) is wanted


def test_where_nothing_is_known_it_is_not_there(tmp_path: Path) -> None:
    assert not has_vnni(tmp_path / "none")
