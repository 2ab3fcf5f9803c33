"""In goes a raw `Track`, out comes a mastered `Recording`; or a video with music under it."""
