"""The REST service, with its page."""
