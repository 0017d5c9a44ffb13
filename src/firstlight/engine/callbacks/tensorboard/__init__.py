"""What fills TensorBoard besides the curves."""
