"""Whether a challenger replaces the champion: decided from randomised traffic at any time, taken back if need be."""
