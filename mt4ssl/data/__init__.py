"""Manifests, features, batch plans and datasets."""
