"""What `rhythmai doctor` looks at: one check a file, each a list of findings that say what to do."""
