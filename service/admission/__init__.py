"""Who gets a place in the engine, and when: `controller` decides; the other files are what it knows."""

from service.admission.controller import AdmissionController, Slot
from service.admission.load import Load

__all__ = ["AdmissionController", "Load", "Slot"]
