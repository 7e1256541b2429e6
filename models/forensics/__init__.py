"""Why a decision was made, and whether its record is still what it was."""
