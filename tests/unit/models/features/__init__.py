"""The feature pipeline against TA-Lib, closed forms and its own laws."""
