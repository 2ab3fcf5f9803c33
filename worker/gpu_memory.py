"""Memory of the GPUs that this process uses, as PyTorch tells it; nothing where PyTorch or a GPU is not in use."""

import sys
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class GpuMemory(Collector):
    """total and used (by all processes) of the device, allocated (by tensors) and reserved (by the allocator) of our own."""

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "rhythmai_worker_gpu_memory_bytes",
            "Memory of a GPU: total, used by all processes, reserved by this one, allocated to its tensors.",
            labels=["device", "state"],
        )
        for device, states in _devices():
            for state, count in states.items():
                family.add_metric([str(device), state], count)
        yield family


def _devices() -> Iterator[tuple[int, dict[str, int]]]:
    torch = sys.modules.get("torch")  # the engine has imported it: a scrape does not
    if torch is None or not torch.cuda.is_initialized():
        return
    for device in range(torch.cuda.device_count()):
        reserved = torch.cuda.memory_reserved(device)
        if not reserved:
            continue  # asking for the rest would make a context, on a GPU that is somebody else's
        try:
            free, total = torch.cuda.mem_get_info(device)
        except RuntimeError:
            continue  # a device that is lost must not take the other metrics along
        allocated = torch.cuda.memory_allocated(device)
        yield device, {"total": total, "used": total - free, "reserved": reserved, "allocated": allocated}
