"""The loop and what stands around it: training, evaluation, prediction, checkpoints."""
