"""A second oracle: diffusers' own VAE and vocoder say the same as ours."""

import pytest

from tests.engine import generated
from tests.engine.tiny import TINY


@pytest.fixture(scope="module")
def oracle():
    from bench import engine_oracle  # seconds of diffusers: not for whoever only collects

    return engine_oracle


def test_diffusers_vae_and_vocoder_make_the_same_of_the_same_weights(oracle):
    """Both take the file's names, and are less than a hundred-thousandth apart."""
    states = generated.vae_state(TINY.vae), generated.vocoder_state(TINY.vocoder)
    found = oracle.compare(TINY.vae, TINY.vocoder, *states, seconds=0.3)
    assert {name: far < 1e-5 for name, (far, _, _) in found.items()} == {"VAE": True, "vocoder": True}


def test_a_name_without_a_partner_is_told(oracle):
    """Weights that are not all taken are no oracle."""
    state = generated.vae_state(TINY.vae)
    state["decoder.conv_inn.weight"] = state.pop("decoder.conv_in.weight")
    with pytest.raises(KeyError, match=r"missing \['vae.decoder.conv_in.weight'\]"):
        oracle.their_vae(TINY.vae, state)
