"""Run folders and their files: receipts, checkpoints, exported models."""
