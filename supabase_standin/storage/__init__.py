"""Storage: buckets and objects over HTTP; bytes on disk, everything else in Postgres."""
