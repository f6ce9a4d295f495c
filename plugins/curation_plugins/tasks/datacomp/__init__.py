"""DataComp: choose image-text pairs, train CLIP on them from scratch, score it zero-shot."""
