"""Measures a network on a set of images: figures, tables, curves, overlays, speed."""
