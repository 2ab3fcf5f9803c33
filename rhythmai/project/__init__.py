"""The ground floor, which API, worker and face share: how DATABASE_URL is read and how a trace is told."""
