"""What tools/compare_exports.py is made of: classifiers, photographs, stopwatches."""
