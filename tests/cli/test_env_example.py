"""`.env.example` tells of every variable, and tells the truth."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import AliasChoices

import edge_api.settings
import worker.settings
from rhythmai.connection import Connection
from rhythmai.local.settings import LocalSettings
from rhythmai.project.environment import Policy

TEXT = (Path(__file__).parent.parent.parent / ".env.example").read_text()
SHOWN = dict(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]+)=(.*)$", TEXT, re.MULTILINE))
READERS = [worker.settings.Settings, edge_api.settings.Settings, Connection, LocalSettings, Policy]


def variables(reader):
    """(field, names) of what a settings class reads."""
    for name, field in reader.model_fields.items():
        alias = field.validation_alias
        yield field, ([str(choice) for choice in alias.choices] if isinstance(alias, AliasChoices) else [name.upper()])


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__module__)
def test_every_variable_is_documented(reader):
    """Each variable, and each other name of it, stands in the file."""
    for _, names in variables(reader):
        assert names[0] in SHOWN
        assert all(re.search(rf"\b{name}\b", TEXT) for name in names)


def test_nothing_else_is_documented():
    """The file shows no variable that nobody reads."""
    read = {name for reader in READERS for _, names in variables(reader) for name in names}
    assert set(SHOWN) <= read


@pytest.mark.parametrize(
    "reader", [worker.settings.Settings, edge_api.settings.Settings], ids=lambda reader: reader.__module__
)
def test_defaults_are_shown_as_they_are(reader):
    """A default in the file is the default of the program."""
    for field, names in variables(reader):
        shown = SHOWN[names[0]]
        if field.is_required() or field.default_factory or not shown or names[0].startswith("SUPABASE"):
            continue
        default = field.default
        text = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
        assert shown == (text.lower() if isinstance(default, bool) else text), names[0]
