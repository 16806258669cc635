"""The consumers, and everything at their edges: Kafka, Redis, Postgres, media, the command line."""
