"""Infrared small target detection: from raw images to a verified, registered model."""
