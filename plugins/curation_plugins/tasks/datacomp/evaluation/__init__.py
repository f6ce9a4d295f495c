"""Zero-shot evaluation: DataComp's sets, their files, classifiers, metrics and halves."""
