"""The fold of the book under a judge: long stories, all interleavings, planted defects."""
