"""Programs that put load on a running service. They are not part of the service, and nothing in `service` imports them."""
