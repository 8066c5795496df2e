"""Hostile and odd inputs, made by scripts: each is answered rightly, or refused with one message; nothing is lost."""
