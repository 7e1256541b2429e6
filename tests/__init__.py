"""The test suite; CONTRIBUTING says which kind of test goes where."""
