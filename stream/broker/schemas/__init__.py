"""Schemas of a Schema Registry: asked for by id, and kept."""
