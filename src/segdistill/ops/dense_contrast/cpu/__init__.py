"""The fused contrast of a CPU."""
