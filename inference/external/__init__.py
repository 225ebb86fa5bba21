"""The raw dataset's test set, predicted and evaluated: as it is, at lower doses, with fewer channels, other regions."""
