"""`ChatRequest` -> `ChatJob`: what arrived becomes what it means. The only maker of a `ChatJob`."""

from service.normalize.job import normalize
from service.normalize.own import own_job

__all__ = ["normalize", "own_job"]
