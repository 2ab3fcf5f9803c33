"""What a file looks like from its first bytes: used to explain a refusal, never to accept anything."""

from __future__ import annotations

from pathlib import Path

_MEDIA = (
    (4, b"ftyp", "an MP4 or MOV file"),
    (4, b"moov", "an MP4 or MOV file"),
    (4, b"mdat", "an MP4 or MOV file"),
    (0, b"\x1aE\xdf\xa3", "a WebM or MKV file"),
    (8, b"AVI ", "an AVI file"),
    (0, b"FLV", "an FLV file"),
    (0, b"OggS", "an Ogg file"),
    (0, b"\x47", "a transport stream"),
)
_OTHERS = (
    (0, b"#EXTM3U", "a playlist"),
    (0, b"ffconcat", "a playlist"),
    (0, b"\x89PNG", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"GIF8", "a GIF image"),
    (8, b"WEBP", "a WebP image"),
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"ID3", "an MP3 file"),
    (8, b"WAVE", "a WAV file"),
    (0, b"fLaC", "a FLAC file"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a Windows Media video (WMV, ASF)"),
    (4, b"ftypavif", "an AVIF image"),
    (4, b"ftyphei", "a HEIC image"),
)


def looks_like(path: Path) -> tuple[str, bool]:
    """Return what to call the file in a message ("" if nothing is known), and whether it begins like one of the video containers we take."""
    with path.open("rb") as file:
        head = file.read(512)
    for place, magic, name in _OTHERS:
        if head[place:].startswith(magic):
            return name, False
    for place, magic, name in _MEDIA:
        if head[place:].startswith(magic):
            return name, True
    text = head.lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head")):
        return "a web page (the link of a page, not of a file)", False
    if text.startswith((b"<", b"{", b"[")):
        return "a text document", False
    return "", False
