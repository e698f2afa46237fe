"""What a model's layers see of a text: the statistics that quantisation is fitted to."""
