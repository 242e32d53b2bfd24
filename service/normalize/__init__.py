"""Turns a `ChatRequest` into a `ChatJob`. Only this package makes a `ChatJob`."""

from service.normalize.internal_job import internal_job
from service.normalize.job import normalize

__all__ = ["internal_job", "normalize"]
