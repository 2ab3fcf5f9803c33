"""What makes the music, behind `worker.ports.Engine`; engines do not know each other."""
