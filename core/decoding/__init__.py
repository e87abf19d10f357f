"""Drawing sequences from a model, token by token. Knows symbols and real values, not what they stand for."""
