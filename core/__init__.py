"""Sequences, models, training, inference, baselines, evaluation. Knows no domain, no Hydra, no file format."""
