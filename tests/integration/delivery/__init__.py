"""What is owed arrives in order, as often as it takes, and blocks nobody else."""
