"""What is remembered: changelog tables, stores, and the windows onto them."""
