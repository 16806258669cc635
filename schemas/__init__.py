"""The contracts: events as frozen models, their generated JSON Schemas, and the SQL migrations."""
