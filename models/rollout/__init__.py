"""Models that replace others step by step: who decides, what is compared, when it ends."""
