"""What networks cost: step times measured, predicted, and screened by."""
