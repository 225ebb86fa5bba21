"""Handing a model on: one zip out, checked before it is used."""
