"""ONNX files, and the gate that compares them with torch."""
