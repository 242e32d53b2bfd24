"""How much of its GPUs' memory an engine can use for weights and KV cache."""

from dataclasses import dataclass

DEFAULT_UTILIZATION = 0.92
"""vLLM's default of `gpu_memory_utilization`."""
OVERHEAD_GIB = 1.5
"""GiB of each GPU for activations, CUDA graphs and libraries. The real amount grows with `max_num_batched_tokens`."""


@dataclass(frozen=True, slots=True)
class GpuMemory:
    """Memory of one replica that the engine can use, over all its GPUs."""

    gpus: int
    gpu_gib: float
    utilization: float = DEFAULT_UTILIZATION

    @property
    def gib(self) -> float:
        return self.gpus * (self.gpu_gib * self.utilization - OVERHEAD_GIB)

    def __str__(self) -> str:
        gpus = f"{self.gpus} GPU{'' if self.gpus == 1 else 's'} of {self.gpu_gib:.1f} GiB"
        return f"{gpus} at utilization {self.utilization:g}, less {OVERHEAD_GIB} GiB each"
