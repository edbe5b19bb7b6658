"""What asks the models, in the Python of cooperbench: a program of its own."""
