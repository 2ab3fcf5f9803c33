"""In goes a stranger's file, out comes a `Clip`: the only place that opens such files."""
