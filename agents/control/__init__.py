"""What operators change while workers run: read from `fleet.control`, answered on `fleet.workers`."""
