"""What `rhythmai doctor` says of the box: weights, a compiler, what the kernel confines, the folder."""

from __future__ import annotations

import pytest

from tests.hosted.test_doctor import doctor, healthy, recorded
from tests.unit.certificates import SERVERS, signatory

__all__ = ["doctor", "healthy", "recorded"]


def test_mmaudio_without_weights(doctor, healthy, tmp_path):
    """ENGINE=mmaudio without weights names the command that brings them."""
    _, found = doctor(
        **{**healthy, "ENGINE": "mmaudio"}, MMAUDIO_MODEL="small_16k", MODELS_DIR=str(tmp_path), DEVICE="cpu"
    )
    assert "rhythmai models pull small_16k" in found["weights", "fail"][0]
    assert "half an hour" in found["gpu", "note"][0]


def test_acestep_without_weights(doctor, healthy, tmp_path):
    """ENGINE=acestep without weights names the command that brings them and how large they are; tiny-random needs nothing."""
    box = {**healthy, "ENGINE": "acestep", "MODELS_DIR": str(tmp_path), "DEVICE": "cpu"}
    _, found = doctor(**box)
    (line,) = found["weights", "fail"]
    assert "rhythmai models pull acestep-xl-turbo" in line
    assert "11.0 GB" in line
    _, found = doctor(**box, ACESTEP_MODEL="tiny-random")
    assert ("weights", "fail") not in found
    assert "tiny-random" in found["gpu", "note"][0]
    _, found = doctor(**box, ACESTEP_MODEL="huge")
    assert "Set ACESTEP_MODEL to one of them" in found["weights", "fail"][0]


def test_an_engine_that_may_not_be_used_commercially(doctor, healthy):
    """With COMMERCIAL_ONLY it is a failure with the remedy; one whose music is free for that is examined as ever."""
    code, found = doctor(**{**healthy, "ENGINE": "mmaudio", "COMMERCIAL_ONLY": "true"})
    (line,) = found["licence", "fail"]
    assert (code, "large_44k_v2 stand under CC-BY-NC-4.0" in line) == (1, True)
    assert "-> Set ENGINE=acestep or ENGINE=sketch" in line
    _, found = doctor(**{**healthy, "COMMERCIAL_ONLY": "true"})
    assert ("licence", "fail") not in found
    assert "ENGINE=sketch" in found["gpu", "note"][0]


def test_several_engines(doctor, healthy, tmp_path):
    """ENGINE=acestep,mmaudio: both have to be there, and what they share is told once; a word that is none is refused."""
    box = {**healthy, "MODELS_DIR": str(tmp_path), "DEVICE": "cpu", "MMAUDIO_MODEL": "small_16k"}
    _, found = doctor(**{**box, "ENGINE": "acestep,mmaudio"})
    assert ["acestep-xl-turbo" in line or "small_16k" in line for line in found["weights", "fail"]] == [True, True]
    assert len(found["gpu", "note"]) == 1
    _, found = doctor(**{**box, "ENGINE": "acestep,mmaudio", "COMMERCIAL_ONLY": "true"})
    assert "acestep" in "".join(found["weights", "fail"])
    assert len(found["weights", "fail"]) == 1
    code, found = doctor(**{**box, "ENGINE": "sketch,lyria"})
    assert code == 1
    assert any("ENGINE" in line for line in found["environment", "fail"])


def test_an_engine_that_jobs_wait_for_in_vain(doctor, healthy, sql, database_url):
    """Jobs whose engine no living worker has are worth a note, with the remedy."""
    _, found = doctor("--api-only", **healthy)
    assert not any("that wait for" in line for line in found["database", "note"])
    sql(
        database_url,
        "insert into public.jobs (video_url, engine) values ('https://example.com/a.mp4', 'acestep') returning 1",
    )
    _, found = doctor("--api-only", **healthy)
    assert (
        "jobs that wait for acestep, which no living worker has: 1 -> Start a worker with ENGINE=acestep"
        in found["database", "note"]
    )
    sql(database_url, "delete from public.jobs where engine = 'acestep' returning 1")


NO_HEADERS = "#!/bin/sh\necho 'launcher.c:1:10: fatal error: Python.h: No such file or directory' >&2; exit 1\n"


@pytest.mark.parametrize(
    ("compiler", "verdict", "words"),
    [
        ("#!/bin/sh\n", "ok", "compiles for Triton"),
        (None, "note", "no C compiler for Triton"),
        (NO_HEADERS, "note", "Python.h: No such file"),
    ],
)
def test_the_compiler_that_kernels_want(doctor, healthy, tmp_path, monkeypatch, compiler, verdict, words):
    """Triton compiles when a worker starts: without a C compiler, or its headers, the doctor says what that costs and how to get one."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    if compiler:
        (tmp_path / "gcc").write_text(compiler)
        (tmp_path / "gcc").chmod(0o755)
    _, found = doctor(**{**healthy, "ENGINE": "mmaudio"}, MMAUDIO_MODEL="small_16k", MODELS_DIR=str(tmp_path))
    (line,) = found["kernels", verdict]
    assert words in line
    assert verdict == "ok" or "sudo apt-get install gcc libc6-dev python3-dev" in line


def test_a_kernel_that_confines_nobody(doctor, healthy, monkeypatch):
    """What this kernel does not offer against strangers' files is a note with a way out; the box works."""
    monkeypatch.setattr("worker.pipeline.look.confinement.missing", lambda: ["this kernel has no Landlock"])
    code, found = doctor(**healthy)
    assert code == 0
    (line,) = found["confinement", "note"]
    assert line.startswith("this kernel has no Landlock -> Use a kernel with Landlock")


def test_a_folder_that_is_none(doctor, healthy, tmp_path):
    """A WORK_DIR that is not there is malformed; the rest is examined."""
    _, found = doctor(**healthy, WORK_DIR=str(tmp_path / "nowhere"))
    assert "WORK_DIR" in found["environment", "fail"][0]
    assert ("storage", "ok") in found


def test_files_are_not_signed(doctor, healthy):
    """Without a certificate nothing is missing; where files come from is told."""
    code, found = doctor(**healthy)
    assert code == 0
    assert "in their tags alone -> docs/provenance.md" in found["provenance", "note"][0]


@pytest.mark.parametrize(
    ("who", "verdict", "words"),
    [
        (signatory(), "ok", "signed as A Signer (ES256), until 20"),
        (signatory(days=9), "note", "Get the next certificate"),
        (signatory(days=-1), "fail", "not valid now"),
        (signatory(usage=SERVERS), "fail", "lacks an extended key usage"),
    ],
)
def test_a_certificate_is_tried(doctor, healthy, tmp_path, who, verdict, words):
    """It is read, and a moment of silence is signed with it: who signs, until when, and what is wrong."""
    _, found = doctor(**healthy, **who.written(tmp_path))
    assert words in found["provenance", verdict][0]


@pytest.mark.parametrize(
    ("command", "words"),
    [("cat /nowhere", "made no signature"), ("nonsense", "no program nonsense"), ("echo yes", "cannot be signed")],
)
def test_a_command_that_signs_is_tried(doctor, healthy, tmp_path, command, words):
    """C2PA_SIGNER is run, and what it says is looked at."""
    cert = signatory().written(tmp_path)["C2PA_CERT"]
    code, found = doctor(**healthy, C2PA_CERT=cert, C2PA_SIGNER=command)
    assert code == 1
    assert words in found["provenance", "fail"][0]
