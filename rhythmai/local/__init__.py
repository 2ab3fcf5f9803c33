"""Our stack on this machine: Postgres, the stand-in for Supabase, the API and a worker. For development only."""
