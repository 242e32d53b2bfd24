"""Programs that put load on a running service. Not part of the service: nothing in `service` imports them."""
