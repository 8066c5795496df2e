"""The data doctor: what is in a data set, what is wrong with it, and what to do about it."""

from fer_lightning.audit.doctor import audit

__all__ = ["audit"]
