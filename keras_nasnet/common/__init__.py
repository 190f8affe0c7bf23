"""What every other package builds on: images, files, checksums, the cache, errors and signals."""
