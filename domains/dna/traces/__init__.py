"""Trace reconstruction: noisy reads of one synthetic strand in, the strand out (TReconLM, arXiv 2507.12927).

A record is a `Cluster`: reads and, where it is known, the truth that they are copies of.
"""
