"""In goes a `Clip` with a wish, out come musical directions."""
