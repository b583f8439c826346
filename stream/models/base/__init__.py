"""What all models are made of: kernels, hashes, states, calibration, names as numbers."""
