"""What forks attempts inside cooperbench's environment; standard library only."""
