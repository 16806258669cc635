"""Run one agent in this process, from settings to a clean end."""

import logging

from confluent_kafka import Consumer

from agents.runtime.agent import Agent
from agents.runtime.backoff import Backoff
from agents.runtime.clients import (
    GroupProtocol,
    consumer_configuration,
    first_protocol,
    producer_configuration,
)
from agents.runtime.deadline import Deadline
from agents.runtime.exceptions import AgentStopped, GroupProtocolUnsupported
from agents.runtime.health import Health, HealthEndpoint
from agents.runtime.in_flight import InFlight
from agents.runtime.loop import ConsumerLoop
from agents.runtime.metrics import Metrics
from agents.runtime.outbox import Outbox
from agents.runtime.workers import Workers
from agents.settings import Settings

_log = logging.getLogger(__name__)

_CLOSE_TIMEOUT_S = 5.0
"""How long handlers may take after the drain, and then the producer for what is out, seconds."""


class AgentProcess:
    """An agent with everything around it. `run` ends when `stop` was called or the agent failed."""

    def __init__(self, agent: Agent, settings: Settings, metrics: Metrics) -> None:
        self._agent = agent
        self._settings = settings
        self._metrics = metrics
        self._loop: ConsumerLoop | None = None
        self._stopped = False
        self._failure: AgentStopped | None = None
        self.health = Health(agent.name, metrics, settings.runtime.stalled_after_s)

    def stop(self) -> None:
        """Drain and end. Safe to call from a signal handler or another thread."""
        self._stopped = True
        if self._loop is not None:
            self._loop.stop()

    def fail(self, error: AgentStopped) -> None:
        """Drain and end with this error. Safe to call from another thread."""
        self._failure = error
        self._stopped = True
        if self._loop is not None:
            self._loop.fail(error)

    def run(self) -> None:
        """Open the agent, consume, and close it.

        Raises:
            AgentStopped: the agent cannot go on.
        """
        runtime = self._settings.runtime
        endpoint = (
            HealthEndpoint(
                self.health, self._metrics, runtime.health_host, runtime.health_port, self._agent.documents()
            )
            if runtime.health_port >= 0
            else None
        )
        if endpoint is not None:
            _log.info("%s: health and metrics at %s", self._agent.name, endpoint.url)
        try:
            self._agent.watched(self.health, self.fail)
            self._agent.open()
            self._consume()
        finally:
            self._agent.close()
            if endpoint is not None:
                endpoint.close()

    def _consume(self) -> None:
        protocol = first_protocol(self._settings.kafka)
        try:
            self._consume_by(protocol)
        except GroupProtocolUnsupported as error:
            if self._settings.kafka.group_protocol != "auto":
                raise AgentStopped(f"group_protocol {protocol}: {error}") from error
            _log.info("the broker has no KIP-848 (%s): classic groups", error)
            self._consume_by("classic")

    def _consume_by(self, protocol: GroupProtocol) -> None:
        kafka, runtime = self._settings.kafka, self._settings.runtime
        backoff = Backoff(runtime.retry_backoff_s)
        shed = self._metrics.shed
        in_flight = InFlight(
            self._agent.lanes,
            runtime.in_flight_mib << 20,
            on_shed=lambda message: shed.labels(message.topic.name).inc(),
        )
        consumer = Consumer(consumer_configuration(kafka, runtime, self._agent.name, protocol), logger=_log)

        def failed(error: AgentStopped) -> None:
            loop.fail(error)

        outbox = Outbox(producer_configuration(kafka), self._metrics, self.health, failed)
        workers = Workers(
            self._agent,
            in_flight,
            outbox,
            self._metrics,
            self.health,
            topic_prefix=kafka.topic_prefix,
            max_attempts=runtime.max_attempts,
            max_consecutive_rejects=runtime.max_consecutive_rejects,
            backoff=backoff,
            failed=failed,
        )
        loop = self._loop = ConsumerLoop(
            self._agent,
            consumer,
            protocol,
            in_flight,
            self._metrics,
            self.health,
            topic_prefix=kafka.topic_prefix,
            eager=kafka.broker == "embedded",
            drain_timeout_s=runtime.drain_timeout_s,
            backoff=backoff,
            draining=workers.stop_waiting,
        )
        if self._failure is not None:
            loop.fail(self._failure)
        elif self._stopped:
            loop.stop()
        workers.start()
        try:
            loop.run()
        finally:
            workers.close(Deadline.after(_CLOSE_TIMEOUT_S))
            outbox.close(Deadline.after(_CLOSE_TIMEOUT_S))
