"""Kafka topics: the catalogue, their provisioning, and how events are written to and read from them."""
