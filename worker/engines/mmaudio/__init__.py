"""MMAudio, ours: an inference runtime for the official MMAudio checkpoints, written from their formulas.

Everything inference needs imports torch, torchaudio, numpy and safetensors only; av, torchcodec, open_clip and
huggingface_hub are imported where they are used, so that the engine also runs on a bare GPU image.
"""
