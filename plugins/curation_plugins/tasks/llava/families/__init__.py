"""What differs between the model families: prompt, image tokens, preprocessing, where the parts of a model are."""
