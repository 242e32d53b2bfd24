"""Who gets a place in the engine, and when: `gate` is the door, the other files are what it knows."""

from service.admission.controller import Gate, Place
from service.admission.load import Load

__all__ = ["Gate", "Load", "Place"]
