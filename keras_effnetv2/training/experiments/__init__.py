"""What an experiment is, the recipes, and every experiment by name."""
