"""The checkpoint tiny-random: the whole way in small dimensions, which a CPU goes in seconds and which makes noise for music."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AceStepPipeline, AceStepTransformer1DModel, AutoencoderOobleck, FlowMatchEulerDiscreteScheduler
from diffusers.pipelines.ace_step.modeling_ace_step import AceStepConditionEncoder
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as Bytes
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3Model

from worker.engines.acestep.checkpoints import MODELS, Lock, sha256

END = "<|endoftext|>"
SIZES = {
    "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
}  # fmt: skip


def write(models_dir: Path) -> None:
    """Its files and its lock, as a pull would leave them; always the same weights."""
    folder = MODELS["tiny-random"].folder(models_dir)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        pipe = made()
        for name, values in pipe.vae.decoder.named_parameters():  # or all latents would sound alike
            values.data.mul_({"bias": 0.0, "weight_g": 1.25}.get(name.rpartition(".")[2], 1.0))
        pipe.save_pretrained(folder)
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "lock.json"]
    sums = {path.relative_to(folder).as_posix(): sha256(path) for path in files}
    Lock(repository="", revision="", files=sums).write(folder)


def made() -> AceStepPipeline:
    attention = {"rope_theta": 10_000.0, "sliding_window": 16, **SIZES}
    bytes_ = {char: number for number, char in enumerate(sorted(ByteLevel.alphabet()))}
    tokenizer = Tokenizer(BPE(vocab={**bytes_, END: 256}, merges=[]))
    tokenizer.pre_tokenizer, tokenizer.decoder = ByteLevel(add_prefix_space=False), Bytes()
    words = Qwen3Config(vocab_size=257, num_hidden_layers=2, max_position_embeddings=4096, **SIZES)
    return AceStepPipeline(
        vae=AutoencoderOobleck(
            encoder_hidden_size=4, downsampling_ratios=[10, 12, 16], decoder_channels=4, decoder_input_channels=2,
            audio_channels=2, channel_multiples=[1, 2, 2], sampling_rate=48_000,
        ),
        text_encoder=Qwen3Model(words),
        tokenizer=PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, pad_token=END, eos_token=END
        ),
        transformer=AceStepTransformer1DModel(
            num_hidden_layers=2, in_channels=6, audio_acoustic_hidden_dim=2, patch_size=2, is_turbo=True, **attention
        ),
        condition_encoder=AceStepConditionEncoder(
            text_hidden_dim=32, timbre_hidden_dim=2, num_lyric_encoder_hidden_layers=2,
            num_timbre_encoder_hidden_layers=2, **attention,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(num_train_timesteps=1, shift=1.0),
    )  # fmt: skip
