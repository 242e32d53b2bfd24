"""A bench's workload and endpoint for tests on the scripted engine, which answers a turn with its own last words."""

from loadtest.overload.texts import Texts
from loadtest.servers import Endpoint
from tests.support.service_under_test import ServiceUnderTest

TEXTS = Texts(words=("alpha", "beta", "gamma"), overhead=30)


def endpoint_of(service: ServiceUnderTest) -> Endpoint:
    return Endpoint(service.host, service.port, service.model, service.key)
