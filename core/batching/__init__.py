"""From a token store to batches: rows, windows, buckets, packing, the order of an epoch. Imports nothing by itself."""
