"""Who listens and who speaks: Faust agents, the command line and the order of the stages."""
