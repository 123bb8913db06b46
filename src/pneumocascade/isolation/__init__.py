"""Decoders in processes of their own: one that crashes, hangs or takes all memory costs one film."""
