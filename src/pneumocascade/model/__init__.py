"""What is fixed when a model is trained, and running it: preprocessing, network, calibration, gate."""
