"""What TensorBoard shows besides the curves."""
