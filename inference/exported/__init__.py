"""Students as ONNX files, and prediction through onnxruntime or OpenVINO."""
