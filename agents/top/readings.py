"""One look at a worker: its health and its metrics, over HTTP."""

from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic

import orjson
import urllib3
from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]
_TIMEOUT = urllib3.Timeout(connect=2.0, read=5.0)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a worker said at one moment.

    Attributes:
        at: by the monotonic clock of this process, seconds.
        agent: its name; empty where it did not answer.
        state: `starting`, `running`, `draining`, `stopped`, or `silent` where it did not answer.
        away: what it needs and cannot reach, and why; of a silent one why it is silent.
        values: by metric and labels.
    """

    url: str
    at: float
    agent: str
    state: str
    away: Mapping[str, str]
    values: Mapping[tuple[str, Labels], float]

    def total(self, metric: str, **labels: str) -> float:
        """Return a metric, summed over the labels that are not given."""
        wanted = frozenset(labels.items())
        return sum(value for (name, has), value in self.values.items() if name == metric and wanted <= has)

    def labels(self, metric: str, label: str) -> list[str]:
        """Return the values of a label, in order."""
        found = {dict(has).get(label) for name, has in self.values if name == metric}
        return sorted(value for value in found if value is not None)


def read(url: str, pool: urllib3.PoolManager) -> Reading:
    """Ask a worker; one that does not answer is `silent`.

    Args:
        url: of its health endpoint, such as `http://127.0.0.1:9100`.
        pool: of connections.
    """
    base = url.rstrip("/")
    try:
        health = pool.request("GET", f"{base}/health", timeout=_TIMEOUT, retries=False)
        metrics = pool.request("GET", f"{base}/metrics", timeout=_TIMEOUT, retries=False)
        report = orjson.loads(health.data)
        values = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(metrics.data.decode())
            for sample in family.samples
        }
        return Reading(url, monotonic(), str(report["agent"]), str(report["state"]), dict(report["away"]), values)
    except (urllib3.exceptions.HTTPError, ValueError, KeyError, TypeError) as error:
        return Reading(url, monotonic(), "", "silent", {"worker": f"{type(error).__name__}: {error}"}, {})
