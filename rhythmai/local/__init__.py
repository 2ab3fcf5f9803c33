"""The embedded stand-in for a Supabase project: Postgres, Realtime and Storage on this machine. For development only."""
