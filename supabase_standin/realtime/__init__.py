"""Realtime: Phoenix channels over WebSocket, fed by clients, by HTTP and by the database."""
