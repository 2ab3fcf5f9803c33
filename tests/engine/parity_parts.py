"""Parity of everything around the flow network: CLIP, Synchformer, VAE, vocoders, frames, and the whole way in one."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from tests.engine import generated
from tests.engine.mel_scale import mel_scale
from tests.engine.parity_case import Answers, Case, NotRun
from tests.engine.parity_flow import flow_shape
from worker.engines.mmaudio import tokens
from worker.engines.mmaudio.batching import Batching
from worker.engines.mmaudio.bigvgan import BigVGAN
from worker.engines.mmaudio.features import VIEWS, clip_pixels, sync_pixels
from worker.engines.mmaudio.layers import fuse
from worker.engines.mmaudio.lengths import covered_s
from worker.engines.mmaudio.models import MODELS, VAE_16K, VAE_44K, VOCODER_16K, VOCODER_44K, Model
from worker.engines.mmaudio.sampling import EulerSolver, Prepared, Sampler
from worker.engines.mmaudio.shapes import ImageShape, SynchformerShape, TextShape
from worker.engines.mmaudio.vae import VAE
from worker.engines.mmaudio.windows import Windows
from worker.errors import Misconfigured
from worker.pipeline.look.resize import resize
from worker.pipeline.look.selection import Selection


def _clip_shapes(case: Case) -> tuple[ImageShape, TextShape]:
    config: Any = case.meta.get("config")
    if not isinstance(config, dict):
        return ImageShape(), TextShape()
    vision, text = config["vision_cfg"], config["text_cfg"]
    image = ImageShape(
        width=vision["width"],
        layers=vision["layers"],
        heads=vision["width"] // vision["head_width"],
        image=vision["image_size"],
        patch=vision["patch_size"],
        embed=config["embed_dim"],
    )
    return image, TextShape(
        width=text["width"],
        layers=text["layers"],
        heads=text["heads"],
        context=text["context_length"],
        vocabulary=text["vocab_size"],
    )


def _tokens(texts: list[str]) -> Tensor:
    try:
        return tokens.tokenize(texts)
    except Misconfigured as error:
        raise NotRun(str(error)) from error


def clip_answers(case: Case) -> Answers:
    image_shape, text_shape = _clip_shapes(case)
    image = generated.image_tower(image_shape, case.salt).to(case.device)
    fuse(image)
    image.transformer.to_precision(case.precision)
    side = case.meta["image"]
    raw = image.raw(case.uniform("image", case.meta["batch"], 3, side, side))
    yield "image_features_raw", raw
    yield "image_features", torch.nn.functional.normalize(raw, dim=-1)
    del image
    ids = case.expected.get("tokens")
    if ids is None:
        ids = _tokens(case.meta["texts"])
    text = generated.text_tower(text_shape, case.salt).to(case.device)
    fuse(text)
    yield "text_features", text(ids.to(case.device))
    yield "tokens", _tokens(case.meta["texts"])


def synchformer_answers(case: Case) -> Answers:
    meta = case.meta
    shape = SynchformerShape(width=meta["embed_dim"], depth=meta["depth"], heads=meta["heads"])
    network = generated.synchformer(shape, case.salt).to(case.device).to_precision(case.precision)
    seen: dict[str, Tensor] = {}
    network.patch_embed_3d.register_forward_hook(
        lambda *h: seen.update({"trace.patch_embed": h[2][0, :8].flatten(0, 1)})
    )
    network.blocks[0].register_forward_hook(lambda *h: seen.update({"trace.block0": h[2].settled()[0]}))
    network.norm.register_forward_hook(lambda *h: seen.update({"trace.norm": h[2][0, ::49]}))
    yield "features", network(2 * case.uniform("video", meta["batch"], meta["frames"], 3, 224, 224) - 1)
    yield from seen.items()


def _vae(case: Case, width: int | None) -> VAE:
    full = VAE_44K if case.is_44k else VAE_16K
    shape = type(full)(mels=full.mels, latent=full.latent, width=width or full.width)
    network = generated.vae(shape, case.salt).to(case.device)
    fuse(network)
    return network


def vae_answers(case: Case) -> Answers:
    network = _vae(case, case.meta.get("hidden_dim"))
    normalised = network.normalised(case.normal("z", case.meta["batch"], case.meta["latent_len"], network.shape.latent))
    yield "mel_normalized", normalised
    yield "mel", normalised * network.data_std + network.data_mean


def _vocoder(case: Case, channels: int | None) -> BigVGAN:
    full = VOCODER_44K if case.is_44k else VOCODER_16K
    shape = type(full)(
        mels=full.mels,
        rates=full.rates,
        kernels=full.kernels,
        channels=channels or full.channels,
        clamps=full.clamps,
    )
    return generated.vocoder(shape, case.salt).to(case.device, case.vocoder_precision)


def vocoder_answers(case: Case) -> Answers:
    network = _vocoder(case, case.meta.get("upsample_initial_channel"))
    seen: dict[str, Tensor] = {}
    places = {"conv_pre": "conv_pre", "up0": "ups.0.0", "act0": "resblocks.0.activations.0", "resblock0": "resblocks.0"}
    for name, place in places.items():
        part = network.get_submodule(place)
        part.register_forward_hook(lambda *h, key=f"trace.{name}": seen.update({key: h[2]}))
    scale = {key: value.to(case.device) for key, value in mel_scale(network.shape.mels).items()}
    mel = case.normal("mel", case.meta["batch"], network.shape.mels, case.meta["frames"])
    yield "audio", network(mel * scale["data_std"] + scale["data_mean"])
    yield from seen.items()


def end_to_end_answers(case: Case) -> Answers:
    """From features and captions to a waveform, with every part of the model."""
    meta, config = case.meta, case.meta["config"]
    model: Model = MODELS[config["model"]]
    unwanted = meta.get("negative") or []
    captions = [*meta["texts"], *unwanted]
    ids = case.expected.get("tokens")
    texts = _tokens(captions) if ids is None else ids
    text_tower = generated.text_tower(TextShape(), case.salt).to(case.device)
    text, negative = text_tower(texts.to(case.device)).tensor_split([len(meta["texts"])])
    del text_tower
    batch, clip, sync = len(text), config["clip_len"], config["sync_len"]
    flow = generated.flow(flow_shape(case), case.salt).to(case.device)
    fuse(flow)
    flow.to_precision(case.precision)
    asked = flow.condition(
        case.unit("clip", batch, clip, config["clip_dim"]), case.normal("sync", batch, sync, config["sync_dim"]), text
    )
    x0 = case.expected["x0"]
    windows = Windows(*(x0.shape[1],) * 2, (0,), (0,), clip, (0,), sync)
    latents = []
    for i in range(batch):
        silence = negative[i : i + 1] if unwanted else flow.empty_text()
        empty = flow.condition(flow.empty_clip(clip), flow.empty_sync(sync), silence)
        mine = asked.take(torch.tensor([i]))
        prepared = Prepared(seeds=[0], noise=x0[i : i + 1], windows=windows, asked=mine, empty=empty, silent=False)
        sampler = Sampler(steps=meta["steps"], guidance=meta["cfg"])
        latents.append(EulerSolver(flow, prepared, sampler)(Batching(), lambda: False))
    latent = torch.cat(latents) * flow.latent_std + flow.latent_mean
    yield "latent", latent
    del flow
    mel = generated.vae(model.vae, case.salt).to(case.device)(latent)
    yield "mel", mel
    vocoder = generated.vocoder(model.vocoder, case.salt).to(case.device, case.vocoder_precision)
    audio = torch.cat([vocoder(one[None]) for one in mel])
    if "audio_head" in case.expected:
        yield "audio_head", audio[..., : case.expected["audio_head"].shape[-1]]
    if "audio_tail" in case.expected:
        yield "audio_tail", audio[..., -case.expected["audio_tail"].shape[-1] :]
    yield "audio_len", torch.tensor([audio.shape[-1]])
    if ids is not None:
        yield "tokens", _tokens(captions)


def frame_answers(case: Case) -> Answers:
    """Which frames of a video file are chosen, and what becomes of their pixels."""
    try:
        import av
    except ImportError as error:
        raise NotRun("PyAV is not installed") from error
    found = re.search(r"load_video of (\S+)", case.meta["what"])
    if found is None:
        raise NotRun("the metadata do not name the video file")
    requested = case.meta["requested"]
    video, selection = case.beside(found[1]), Selection(requested, [view.fps for view in VIEWS])
    shown: tuple[list[int], list[int]] = ([], [])
    times: list[float] = []
    frames: list[Tensor] = []
    with av.open(str(video)) as container:
        for i, frame in enumerate(container.decode(video=0)):
            times.append(float((frame.pts or 0) * (frame.time_base or 0)))
            for indices, repeats in zip(shown, selection.take(times[-1]), strict=True):
                indices.extend([i] * repeats)
            frames.append(torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1))
    duration_s = covered_s(requested, [clock.count for clock in selection.clocks])
    yield "returned_ms", torch.tensor(round(1000 * duration_s))
    yield "frame_times", torch.tensor(times, dtype=torch.float64)
    yield "index_8fps", torch.tensor(shown[0])
    yield "index_25fps", torch.tensor(shown[1])
    counted = [[frames[i] for i in indices[: int(v.fps * duration_s)]] for indices, v in zip(shown, VIEWS, strict=True)]
    clip, sync = (resize(torch.stack(raw), view) for raw, view in zip(counted, VIEWS, strict=True))
    pixels = {"clip": clip_pixels(clip.to(case.device)), "sync": sync_pixels(sync.to(case.device))}
    for name, values in pixels.items():
        yield f"{name}_shape", torch.tensor(values.shape)
        yield f"{name}.mean", values.mean(dim=(2, 3))
        yield f"{name}.std", values.std(dim=(2, 3), correction=0)
        yield f"{name}.frame1", values[1:2, :, :96, :96]
        steps = re.search(rf"{name}\[::(\d+),:,::(\d+),::(\d+)\]", case.meta.get("note", ""))
        every, down, across = (
            (int(n) for n in steps.groups()) if steps else ((6, 16, 16) if name == "clip" else (12, 8, 8))
        )
        yield f"{name}.sub", values[::every, :, ::down, ::across]
