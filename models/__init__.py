"""What is computed: pure mathematics without clocks, loops or input and output."""
