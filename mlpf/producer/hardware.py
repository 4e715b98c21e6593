"""What a model runs on, by name, without torch."""

import platform
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
GPU_INFO = Path("/proc/driver/nvidia/gpus")


def processor_name(device: str) -> str | None:
    """Name of the machine's processor (``"cpu"``) or of its GPUs (``"cuda"``, ``"tensorrt"``); None where it cannot be told."""
    if device in ("cuda", "tensorrt"):
        return ", ".join(sorted({name for info in GPU_INFO.glob("*/information") if (name := _value(info, "Model"))})) or None
    return _value(CPU_INFO, "model name") or platform.processor() or None


def _value(path: Path, key: str) -> str | None:
    """First value of a file of ``key : value`` lines."""
    if path.is_file():
        for line in path.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == key:
                return value.strip()
    return None
