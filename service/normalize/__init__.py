"""`ChatRequest` -> `ChatJob`: what arrived becomes what it means. The only maker of a `ChatJob`."""

from service.normalize.internal_job import internal_job
from service.normalize.job import normalize

__all__ = ["internal_job", "normalize"]
