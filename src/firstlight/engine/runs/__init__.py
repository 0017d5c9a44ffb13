"""Run folders and what lies in them: receipts, checkpoints, exported models."""
