"""From an image to detections: pre-processing, network, post-processing; one path for all."""
