"""`ChatRequest` -> `ChatJob`: what arrived becomes what it means. The only maker of a `ChatJob`."""

from service.normalize.internal_job import own_job
from service.normalize.job import normalize

__all__ = ["normalize", "own_job"]
