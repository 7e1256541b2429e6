"""What is said: topics, records, slices, codecs, transport and the broker."""
