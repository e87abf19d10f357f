"""Fine-tuning on labels of one's own: a head over pooled hidden states, adapters, baselines, an honest report."""
