"""What an environment may say: values that cannot work are refused in one line, before anything starts."""

from __future__ import annotations

import pytest

import edge_api.settings
import worker.errors
import worker.settings

REQUIRED = {
    "SUPABASE_URL": "https://x.supabase.co/", "SUPABASE_KEY": "k", "DATABASE_URL": "postgresql://u:p@127.0.0.1:9/d",
}  # fmt: skip


@pytest.fixture
def read(monkeypatch, tmp_path):
    """Reads the settings of a program (a module) from exactly this environment."""
    monkeypatch.chdir(tmp_path)

    def read(module, **environment):
        for name, value in {**REQUIRED, **environment}.items():
            monkeypatch.setenv(name, value)
        return module.read_settings()

    return read


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LEASE_S", "inf"),
        ("POLL_S", "inf"),
        ("GRACE_S", "1e300"),
        ("JOB_TIMEOUT_S", "inf"),
        ("VLM_TIMEOUT_S", "nan"),
        ("MAX_DURATION_S", "inf"),
        ("WORK_DIR", "/nowhere/at/all"),
        ("WORK_DIR", "/dev/null"),
        ("MODELS_DIR", "~nobody-is-called-so/models"),
        ("BASE_URL", "foo"),
        ("BASE_URL", "https://"),
        ("SUPABASE_URL", "https://x.supabase.co/rest/v1"),
        ("MMAUDIO_STEPS", "0"),
        ("MMAUDIO_GUIDED", "0.6"),
        ("MMAUDIO_GUIDED", "0.6,0.2"),
        ("MMAUDIO_GUIDED", "0,nan"),
        ("MMAUDIO_GUIDED", "0,all"),
        ("MMAUDIO_CLIP_FPS", "3"),
    ],
)
def test_a_worker_refuses(read, name, value):
    """One line that names the variable and what is wrong with it."""
    with pytest.raises(worker.errors.Misconfigured) as refused:
        read(worker.settings, **{name: value})
    assert str(refused.value).startswith(f"{name} is malformed: ")
    assert "\n" not in str(refused.value)
    assert "Value error" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SUPABASE_URL", "https://x.supabase.co/rest/v1"),
        ("SUPABASE_URL", "https://x.supabase.co/?apikey=k"),
        ("CORS_ORIGINS", "https://a.com/path"),
        ("CORS_ORIGINS", "http://localhost:5173, https://*.a.com"),
        ("CORS_ORIGINS", "https://"),
    ],
)
def test_the_api_refuses(read, name, value):
    """One line that names the variable, as a worker says it."""
    with pytest.raises(edge_api.settings.Misconfigured, match=rf"\A{name} is malformed: [^\n]+\Z"):
        read(edge_api.settings, **{name: value})


def test_what_works_is_taken(read, tmp_path, monkeypatch):
    """A home is found, an address may end in a slash, origins may have ports and capital letters."""
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = read(worker.settings, MODELS_DIR="~/models", WORK_DIR="~", BASE_URL="http://[::1]:8000/v1")
    assert (settings.models_dir, settings.work_dir) == (tmp_path / "models", tmp_path)
    assert settings.origin == "https://x.supabase.co"
    origins = read(edge_api.settings, CORS_ORIGINS="https://A.com/,http://localhost:5173,http://[::1]:80").cors_origins
    assert origins == ("https://a.com", "http://localhost:5173", "http://[::1]:80")


@pytest.mark.parametrize(
    ("module", "refusal"),
    [(worker.settings, worker.errors.Misconfigured), (edge_api.settings, edge_api.settings.Misconfigured)],
    ids=["worker", "edge_api"],
)
def test_dot_env_in_another_encoding(read, tmp_path, module, refusal):
    """A `.env` that is not UTF-8 is told as such."""
    (tmp_path / ".env").write_text("WORKER_NAME=Müller\n", encoding="latin-1")
    with pytest.raises(refusal, match="UTF-8"):
        read(module)


@pytest.mark.parametrize("command", ["doctor", "workers"])
def test_dot_env_in_another_encoding_for_the_console_script(rhythmai, tmp_path, command):
    """The console script says it, too, in one line."""
    (tmp_path / "empty" / ".env").write_text("WORKER_NAME=Müller\n", encoding="utf-16")
    said = rhythmai(command)
    assert (said.code, said.err) == (1, "rhythmai: .env is not UTF-8 text: save it as UTF-8\n")
