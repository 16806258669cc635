"""`fleet demo`: the whole way of the data on one machine, from four upload events to rows in Postgres."""
