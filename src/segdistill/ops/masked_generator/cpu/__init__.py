"""The generator's convolutions on a CPU."""
