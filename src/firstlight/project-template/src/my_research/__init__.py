"""What this project is to find out."""
