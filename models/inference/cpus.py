"""How many CPUs this process may really use, and what they can."""

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
CPUINFO = Path("/proc/cpuinfo")
_VNNI = {"avx512_vnni", "avx_vnni"}


def available_cpus(cgroup: Path = CGROUP) -> int:
    """CPUs by affinity and cgroup quota, at least 1; a container sees more cores than it may use.

    Reads `cpu.max` of cgroup v2, `cpu.cfs_quota_us` and `cpu.cfs_period_us` of v1
    (https://docs.kernel.org/admin-guide/cgroup-v2.html, section CPU). A quota of 1.5 CPUs gives 1: a thread
    more would be throttled in every period.
    """
    affinity = len(os.sched_getaffinity(0))
    quota = _quota(cgroup)
    return affinity if quota is None else max(1, min(affinity, math.floor(quota)))


def _quota(cgroup: Path) -> float | None:
    try:
        limit, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            limit = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if limit in {"max", "-1"}:
        return None
    return int(limit) / int(period)


def has_vnni(cpuinfo: Path = CPUINFO) -> bool:
    """Tell whether all CPUs add products of eight bits in 32 (VNNI), as the kernel's list of their flags says.

    Without, sums of two products are cut off at 16 bits: weights of all eight bits then give wrong answers.
    """
    try:
        lines = [line.partition(":") for line in cpuinfo.read_text().splitlines()]
    except OSError:
        return False
    flags = [set(value.split()) for name, _, value in lines if name.strip() == "flags"]
    return bool(flags) and all(each & _VNNI for each in flags)
