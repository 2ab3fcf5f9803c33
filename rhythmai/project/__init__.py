"""The ground floor, which API, worker and face share: the environment, DATABASE_URL, Storage, traces, logs, and which extra brings what."""
